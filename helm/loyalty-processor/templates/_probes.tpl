{{- /* Readiness asks for the service's health, which is PostgreSQL's too. Startup and liveness must not: a restart
mends no PostgreSQL, and its back-off would keep pods away after PostgreSQL is back. */ -}}
{{- define "loyalty-processor.probes" -}}
startupProbe:
  httpGet: {path: /livez, port: http}
  {{- toYaml .Values.probes.startup | nindent 2 }}
livenessProbe:
  httpGet: {path: /livez, port: http}
  {{- toYaml .Values.probes.liveness | nindent 2 }}
readinessProbe:
  {{- if .Values.tls.enabled }}
  {{- /* The kubelet's gRPC probes know no TLS. */}}
  httpGet: {path: /healthz, port: http}
  {{- else }}
  grpc:
    port: {{ .Values.service.port }}
    service: loyalty.v1.TransactionService
  {{- end }}
  {{- toYaml .Values.probes.readiness | nindent 2 }}
{{- end }}
