{{- /* What a pod of the image needs, whatever it runs. */ -}}
{{- define "loyalty-processor.podPlacement" -}}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with .Values.imagePullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
securityContext: {{- toYaml .Values.podSecurityContext | nindent 2 }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "loyalty-processor.containerImage" -}}
image: {{ include "loyalty-processor.image" . }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext: {{- toYaml .Values.securityContext | nindent 2 }}
{{- end }}

{{- /* The root is read-only, and Python's tempfile, and so the metrics' directory, goes where TMPDIR says. */ -}}
{{- define "loyalty-processor.tmpVolume" -}}
- name: tmp
  emptyDir:
    medium: Memory
    sizeLimit: {{ .Values.tmpSizeLimit }}
{{- end }}

{{- define "loyalty-processor.tmpMount" -}}
- name: tmp
  mountPath: /tmp
{{- end }}

{{- /* Values come as floats, which print large whole numbers as 1e+06; the service wants 1000000. */ -}}
{{- define "loyalty-processor.plain" -}}
{{- if and (kindIs "float64" .) (eq . (floor .)) -}}{{ int64 . }}{{- else -}}{{ . }}{{- end -}}
{{- end }}

{{- /* SIGTERM comes after the preStop pause; workers are killed stop_seconds later; 5 s are for the supervisor's end. */ -}}
{{- define "loyalty-processor.stopSeconds" -}}
{{- add (int .Values.preStopSeconds) (ceil .Values.settings.stop_seconds | int) 5 -}}
{{- end }}

{{- define "loyalty-processor.topologySpread" -}}
{{- $keys := dict "zone" "topology.kubernetes.io/zone" "node" "kubernetes.io/hostname" -}}
{{- range $name, $whenUnsatisfiable := .Values.topologySpread }}
{{- if $whenUnsatisfiable }}
- topologyKey: {{ get $keys $name }}
  maxSkew: 1
  whenUnsatisfiable: {{ $whenUnsatisfiable }}
  labelSelector:
    matchLabels:
      {{- include "loyalty-processor.selectorLabels" $ | nindent 6 }}
      app.kubernetes.io/component: server
  matchLabelKeys: [pod-template-hash]
{{- end }}
{{- end }}
{{- end }}

{{- /* Of a pod that runs one command as the owner of the tables: the root, the command and its resources. */ -}}
{{- define "loyalty-processor.ownerPodSpec" -}}
{{- $command := index . 1 -}}
{{- $resources := index . 2 -}}
{{- with index . 0 -}}
{{- include "loyalty-processor.podPlacement" . }}
restartPolicy: Never
containers:
  - name: {{ $command }}
    {{- include "loyalty-processor.containerImage" . | nindent 4 }}
    command: [loyalty-processor]
    args: [{{ $command }}]
    env:
      {{- include "loyalty-processor.ownerDsnEnv" . | nindent 6 }}
      - name: TMPDIR
        value: /tmp
      {{- with .Values.extraEnv }}
      {{- toYaml . | nindent 6 }}
      {{- end }}
    {{- with .Values.extraEnvFrom }}
    envFrom: {{- toYaml . | nindent 6 }}
    {{- end }}
    resources: {{- toYaml $resources | nindent 6 }}
    volumeMounts:
      {{- include "loyalty-processor.tmpMount" . | nindent 6 }}
      {{- with .Values.extraVolumeMounts }}
      {{- toYaml . | nindent 6 }}
      {{- end }}
volumes:
  {{- include "loyalty-processor.tmpVolume" . | nindent 2 }}
  {{- with .Values.extraVolumes }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}
{{- end }}
