{{- /* The variable LOYALTY_DSN of the service's login. */ -}}
{{- define "loyalty-processor.serviceDsnEnv" -}}
{{- if .Values.cnpg.enabled -}}
- name: DATABASE_PASSWORD
  valueFrom:
    secretKeyRef:
      name: {{ .Values.cnpg.serviceLoginSecret }}
      key: password
- name: LOYALTY_DSN
  value: postgresql://loyalty:$(DATABASE_PASSWORD)@{{ include "loyalty-processor.clusterName" . }}-rw:5432/loyalty?sslmode=require
{{- else -}}
- name: LOYALTY_DSN
  valueFrom:
    secretKeyRef:
      {{- with .Values.database.existingSecret }}
      name: {{ .name | default (include "loyalty-processor.fullname" $) }}
      key: {{ ternary .dsnKey "dsn" (ne .name "") }}
      {{- end }}
{{- end -}}
{{- end }}

{{- /* The same variable, of the tables' owner. */ -}}
{{- define "loyalty-processor.ownerDsnEnv" -}}
- name: LOYALTY_DSN
  valueFrom:
    secretKeyRef:
      {{- if .Values.cnpg.enabled }}
      name: {{ include "loyalty-processor.clusterName" . }}-app
      key: uri
      {{- else if .Values.database.existingSecret.name }}
      name: {{ .Values.database.existingSecret.ownerName | default .Values.database.existingSecret.name }}
      key: {{ .Values.database.existingSecret.ownerDsnKey }}
      {{- else }}
      name: {{ include "loyalty-processor.fullname" . }}-owner
      key: dsn
      {{- end }}
{{- end }}

{{- define "loyalty-processor.clusterName" -}}
{{ include "loyalty-processor.fullname" . }}-db
{{- end }}

{{- /* A hook runs before the release's objects exist, so whatever it needs is a hook too. Not for the first install of
a Cluster: that is an object of the release, and a hook would wait for it for ever. */ -}}
{{- define "loyalty-processor.migrationIsHook" -}}
{{- if not (and .Values.cnpg.enabled .Release.IsInstall) }}true{{ end -}}
{{- end }}

{{- define "loyalty-processor.hookAnnotations" -}}
helm.sh/hook: pre-install,pre-upgrade
helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
{{- end }}

{{- /* Who runs commands as the owner of the tables. */ -}}
{{- define "loyalty-processor.needsOwner" -}}
{{- if or .Values.migration.enabled .Values.verification.enabled }}true{{ end -}}
{{- end }}

{{- /* The owner's DSN is there before the migration, and goes after it unless verifications need it. */ -}}
{{- define "loyalty-processor.ownerSecretAnnotations" -}}
helm.sh/hook: pre-install,pre-upgrade
helm.sh/hook-delete-policy: before-hook-creation{{ if not .Values.verification.enabled }},hook-succeeded{{ end }}
helm.sh/hook-weight: "-10"
{{- end }}
