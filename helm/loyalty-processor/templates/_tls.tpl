{{- define "loyalty-processor.tlsSecretName" -}}
{{- .Values.tls.secretName | default (printf "%s-tls" (include "loyalty-processor.fullname" .)) -}}
{{- end }}

{{- define "loyalty-processor.tlsEnv" -}}
{{- if .Values.tls.enabled }}
- name: LOYALTY_TLS_CERT_FILE
  value: /etc/loyalty/tls/tls.crt
- name: LOYALTY_TLS_KEY_FILE
  value: /etc/loyalty/tls/tls.key
{{- if .Values.tls.clientCa.secretName }}
- name: LOYALTY_TLS_CLIENT_CA_FILE
  value: /etc/loyalty/client-ca/ca.crt
{{- end }}
{{- end }}
{{- end }}

{{- define "loyalty-processor.tlsMounts" -}}
{{- if .Values.tls.enabled }}
- name: tls
  mountPath: /etc/loyalty/tls
  readOnly: true
{{- if .Values.tls.clientCa.secretName }}
- name: client-ca
  mountPath: /etc/loyalty/client-ca
  readOnly: true
{{- end }}
{{- end }}
{{- end }}

{{- /* Readable for the group alone, which is the pod's fsGroup. */ -}}
{{- define "loyalty-processor.tlsVolumes" -}}
{{- if .Values.tls.enabled }}
- name: tls
  secret:
    secretName: {{ include "loyalty-processor.tlsSecretName" . }}
    defaultMode: 0440
{{- with .Values.tls.clientCa }}
{{- if .secretName }}
- name: client-ca
  secret:
    secretName: {{ .secretName }}
    items:
      - {key: {{ .key }}, path: ca.crt}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
