{{- /* Values that are fine by themselves and not together; each line says what to change. */ -}}
{{- define "loyalty-processor.checks" -}}
{{- include "loyalty-processor.checks.database" . -}}
{{- include "loyalty-processor.checks.tls" . -}}
{{- include "loyalty-processor.checks.scaling" . -}}
{{- include "loyalty-processor.checks.stopping" . -}}
{{- include "loyalty-processor.checks.settings" . -}}
{{- include "loyalty-processor.checks.memory" . -}}
{{- include "loyalty-processor.checks.resources" . -}}
{{- end }}

{{- define "loyalty-processor.checks.database" -}}
{{- $given := list -}}
{{- with .Values.database -}}
{{- if .dsn }}{{ $given = append $given "database.dsn" }}{{ end -}}
{{- if .existingSecret.name }}{{ $given = append $given "database.existingSecret.name" }}{{ end -}}
{{- if .externalSecret.enabled }}{{ $given = append $given "database.externalSecret.enabled" }}{{ end -}}
{{- end -}}
{{- if .Values.cnpg.enabled }}{{ $given = append $given "cnpg.enabled" }}{{ end -}}
{{- if not $given -}}
{{- fail "no PostgreSQL is named: set one of database.existingSecret.name, database.externalSecret.enabled, database.dsn and cnpg.enabled" -}}
{{- else if gt (len $given) 1 -}}
{{- fail (printf "PostgreSQL is named more than once: keep one of %s" (join ", " $given)) -}}
{{- end -}}
{{- with .Values.database -}}
{{- if and .ownerDsn (not .dsn) -}}
{{- fail "database.ownerDsn goes with database.dsn; other sources name the owner's DSN themselves" -}}
{{- else if and .dsn (include "loyalty-processor.needsOwner" $) (not .ownerDsn) -}}
{{- fail "database.dsn is set and database.ownerDsn is not: set it too, or migration.enabled and verification.enabled to false" -}}
{{- end -}}
{{- with .externalSecret -}}
{{- if and .enabled (not (and .secretStoreRef.name .dsn)) -}}
{{- fail "database.externalSecret.enabled needs secretStoreRef.name and dsn.key" -}}
{{- else if and .enabled (include "loyalty-processor.needsOwner" $) (not .ownerDsn) -}}
{{- fail "database.externalSecret.ownerDsn.key is not set: set it, or migration.enabled and verification.enabled to false" -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- with .Values.cnpg -}}
{{- if and .enabled (not .serviceLoginSecret) -}}
{{- fail "cnpg.serviceLoginSecret is not set: make one with `kubectl create secret generic loyalty-login --type=kubernetes.io/basic-auth --from-literal=username=loyalty --from-literal=password=$(openssl rand -hex 24)` and name it" -}}
{{- else if and .enabled (ge (int .synchronousStandbys) (int .instances)) -}}
{{- fail (printf "cnpg.synchronousStandbys is %v and cnpg.instances is %v: there must be more instances than synchronous standbys" .synchronousStandbys .instances) -}}
{{- end -}}
{{- end -}}
{{- end }}

{{- define "loyalty-processor.checks.tls" -}}
{{- if and .Values.tls.enabled (eq (default "grpcio" .Values.settings.transport) "native") -}}
{{- fail "settings.transport is native, which has no TLS: set tls.enabled to false, or the transport to grpcio" -}}
{{- end -}}
{{- with .Values.tls -}}
{{- if and .enabled (not .secretName) (not .certManager.enabled) -}}
{{- fail "tls.enabled needs a certificate: set tls.secretName or tls.certManager.enabled" -}}
{{- else if and .secretName .certManager.enabled -}}
{{- fail "tls.secretName and tls.certManager.enabled both provide the certificate: keep one" -}}
{{- else if and .certManager.enabled (not .certManager.issuerRef.name) -}}
{{- fail "tls.certManager.enabled needs tls.certManager.issuerRef.name" -}}
{{- else if and (not .enabled) (or .secretName .certManager.enabled .clientCa.secretName) -}}
{{- fail "a certificate or a client authority is given but TLS is off: set tls.enabled" -}}
{{- end -}}
{{- end -}}
{{- end }}

{{- define "loyalty-processor.checks.scaling" -}}
{{- $autoscaling := .Values.autoscaling -}}
{{- $keda := .Values.keda -}}
{{- if and $autoscaling.enabled $keda.enabled -}}
{{- fail "autoscaling.enabled and keda.enabled would fight over the pods: keep one" -}}
{{- end -}}
{{- range $name, $scaler := dict "autoscaling" $autoscaling "keda" $keda -}}
{{- if and $scaler.enabled (gt (int $scaler.minReplicas) (int $scaler.maxReplicas)) -}}
{{- fail (printf "%s.minReplicas is %v and %s.maxReplicas is %v: the most can't be less than the fewest" $name $scaler.minReplicas $name $scaler.maxReplicas) -}}
{{- end -}}
{{- end -}}
{{- if and $autoscaling.enabled (not $autoscaling.cpuPercent) (not $autoscaling.queueOperations) -}}
{{- fail "autoscaling has nothing to scale on: set autoscaling.cpuPercent or autoscaling.queueOperations" -}}
{{- end -}}
{{- if and $keda.enabled (not $keda.prometheus.serverAddress) -}}
{{- fail "keda.enabled needs keda.prometheus.serverAddress, the Prometheus that has loyalty_queue_operations" -}}
{{- end -}}
{{- if and (or $keda.enabled $autoscaling.enabled) (not (dig "requests" "cpu" "" (default dict .Values.resources))) -}}
{{- if or (and $autoscaling.enabled $autoscaling.cpuPercent) (and $keda.enabled $keda.cpuPercent) -}}
{{- fail "scaling on the CPU needs resources.requests.cpu" -}}
{{- end -}}
{{- end -}}
{{- with .Values.pdb -}}
{{- if and .enabled (not (eq (toString .minAvailable) "")) (not (eq (toString .maxUnavailable) "")) -}}
{{- fail "pdb.minAvailable and pdb.maxUnavailable exclude each other: set one of them to \"\"" -}}
{{- else if and .enabled (eq (toString .minAvailable) "") (eq (toString .maxUnavailable) "") -}}
{{- fail "pdb.enabled needs pdb.minAvailable or pdb.maxUnavailable" -}}
{{- end -}}
{{- end -}}
{{- with .Values.rollout -}}
{{- if and (has (toString .maxUnavailable) (list "0" "0%")) (has (toString .maxSurge) (list "0" "0%")) -}}
{{- fail "rollout.maxUnavailable and rollout.maxSurge are both 0: no pod could ever be replaced" -}}
{{- end -}}
{{- end -}}
{{- end }}

{{- define "loyalty-processor.checks.stopping" -}}
{{- $needed := include "loyalty-processor.stopSeconds" . | int -}}
{{- $given := toString .Values.terminationGracePeriodSeconds -}}
{{- if and $given (lt (int $given) $needed) -}}
{{- fail (printf "terminationGracePeriodSeconds is %s: the pod would be killed while it finishes calls; it needs %d (preStopSeconds + settings.stop_seconds + 5), or \"\" to have it computed" $given $needed) -}}
{{- end -}}
{{- with .Values.settings -}}
{{- if ge (float64 .drain_seconds) (float64 .stop_seconds) -}}
{{- fail (printf "settings.drain_seconds is %v and settings.stop_seconds is %v: stopping must take longer than draining" .drain_seconds .stop_seconds) -}}
{{- end -}}
{{- end -}}
{{- end }}

{{- define "loyalty-processor.checks.settings" -}}
{{- with .Values.settings -}}
{{- if and .batch_ops_max .queue_ops_max (gt (int64 .batch_ops_max) (int64 .queue_ops_max)) -}}
{{- fail "settings.batch_ops_max is more than settings.queue_ops_max: a batch can't be larger than the queue" -}}
{{- end -}}
{{- end -}}
{{- if eq (int .Values.service.port) (int .Values.metrics.port) -}}
{{- fail "service.port and metrics.port are the same: gRPC and HTTP need a port each" -}}
{{- end -}}
{{- end }}

{{- define "loyalty-processor.checks.memory" -}}
{{- $needed := include "loyalty-processor.mostMebibytes" . | int64 -}}
{{- with dig "limits" "memory" "" (default dict .Values.resources) -}}
{{- if lt (include "loyalty-processor.mebibytes" . | int64) $needed -}}
{{- fail (printf "resources.limits.memory is %s: workers would be killed under load; it needs %dMi for settings.workers, transport, calls_max and queue_bytes_max and for tmpSizeLimit, or \"\" to have it computed" (include "loyalty-processor.plain" .) $needed) -}}
{{- end -}}
{{- end -}}
{{- end }}

{{- define "loyalty-processor.checks.resources" -}}
{{- $pods := dict "resources" .Values.resources "migration.resources" .Values.migration.resources "verification.resources" .Values.verification.resources -}}
{{- range $path, $resources := $pods -}}
{{- $limits := dig "limits" dict (default dict $resources) -}}
{{- range $name, $request := dig "requests" dict (default dict $resources) -}}
{{- $limit := get $limits $name -}}
{{- if and $request $limit (gt (include "loyalty-processor.number" $request | float64) (include "loyalty-processor.number" $limit | float64)) -}}
{{- fail (printf "%s.requests.%s is %s and %s.limits.%s is %s: Kubernetes refuses to request more than the limit" $path $name (include "loyalty-processor.plain" $request) $path $name (include "loyalty-processor.plain" $limit)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end }}
