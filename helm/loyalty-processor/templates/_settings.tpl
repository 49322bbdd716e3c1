{{- define "loyalty-processor.settingsName" -}}
{{ include "loyalty-processor.fullname" . }}-settings
{{- end }}

{{- /* A file, since the variables of a process can't change while it runs, and the service reads this one again at
SIGHUP. One line for each setting, in alphabetical order. */ -}}
{{- define "loyalty-processor.settingsFile" -}}
{{- range $name, $value := .Values.settings }}
LOYALTY_{{ upper $name }}={{ include "loyalty-processor.plain" $value }}
{{- end }}
{{- end }}

{{- define "loyalty-processor.settingsPath" -}}
/etc/loyalty/settings/settings.env
{{- end }}

{{- /* The whole folder: a file mounted by subPath would never follow its ConfigMap. */ -}}
{{- define "loyalty-processor.settingsMount" -}}
- name: settings
  mountPath: {{ include "loyalty-processor.settingsPath" . | dir }}
  readOnly: true
{{- end }}

{{- define "loyalty-processor.settingsVolume" -}}
- name: settings
  configMap:
    name: {{ include "loyalty-processor.settingsName" . }}
{{- end }}

{{- /* Has every pod read its settings and TLS files again. The image has no kill but the shell's own. */ -}}
{{- define "loyalty-processor.hangUp" -}}
kubectl get pods --namespace {{ .Release.Namespace }} --output name \
    --selector app.kubernetes.io/instance={{ .Release.Name }},app.kubernetes.io/component=server |
    xargs -I{} kubectl exec --namespace {{ .Release.Namespace }} {} -- sh -c 'kill -HUP 1'
{{- end }}
