{{- /* What the processes of a pod may take, in MiB as the kernel counts them; docs/performance.md has the measurements,
docs/deployment.md the formula. */ -}}

{{- define "loyalty-processor.supervisorMebibytes" -}}70{{- end }}

{{- define "loyalty-processor.idleWorkerMebibytes" -}}75{{- end }}

{{- /* Of each call that is under way. */ -}}
{{- define "loyalty-processor.callKibibytes" -}}
{{- ternary 133 61 (eq (default "grpcio" .Values.settings.transport) "native") -}}
{{- end }}

{{- /* A worker with all the calls that it takes on, and next to nothing in its queues. */ -}}
{{- define "loyalty-processor.busyWorkerMebibytes" -}}
{{- $calls := default 2000 .Values.settings.calls_max -}}
{{- $kibibytes := mul $calls (include "loyalty-processor.callKibibytes" . | int64) -}}
{{- add (include "loyalty-processor.idleWorkerMebibytes" . | int64) (divf $kibibytes 1024 | ceil) -}}
{{- end }}

{{- define "loyalty-processor.queueMebibytes" -}}
{{- divf (default 268435456 .Values.settings.queue_bytes_max) 1048576 | ceil | int64 -}}
{{- end }}

{{- define "loyalty-processor.tmpMebibytes" -}}
{{- include "loyalty-processor.mebibytes" .Values.tmpSizeLimit -}}
{{- end }}

{{- define "loyalty-processor.workers" -}}
{{- default 1 .Values.settings.workers | int64 -}}
{{- end }}

{{- /* What calls take in a rush; the queues are full only while PostgreSQL lets large receipts wait. */ -}}
{{- define "loyalty-processor.usualMebibytes" -}}
{{- $workers := mul (include "loyalty-processor.workers" .) (include "loyalty-processor.busyWorkerMebibytes" .) -}}
{{- add (include "loyalty-processor.supervisorMebibytes" .) (include "loyalty-processor.tmpMebibytes" .) $workers -}}
{{- end }}

{{- /* The same with full queues, and with the spare worker that there is while SIGHUP replaces the others. */ -}}
{{- define "loyalty-processor.mostMebibytes" -}}
{{- $queues := mul (include "loyalty-processor.workers" .) (include "loyalty-processor.queueMebibytes" .) -}}
{{- add (include "loyalty-processor.usualMebibytes" .) (include "loyalty-processor.idleWorkerMebibytes" .) $queues -}}
{{- end }}

{{- /* Of a quantity such as 512Mi or 1.5G, rounded down. */ -}}
{{- define "loyalty-processor.mebibytes" -}}
{{- $text := include "loyalty-processor.plain" . -}}
{{- $number := regexFind "^[0-9.]+" $text -}}
{{- $bytes := dict "" 1.0 "m" 0.001 "k" 1e3 "M" 1e6 "G" 1e9 "T" 1e12 "Ki" 1024.0 "Mi" 1048576.0 "Gi" 1073741824.0 "Ti" 1099511627776.0 -}}
{{- divf (mulf (float64 $number) (get $bytes (trimPrefix $number $text))) 1048576 | floor | int64 -}}
{{- end }}

{{- /* Those of the values, with the memory that is not given computed. */ -}}
{{- define "loyalty-processor.resources" -}}
{{- $requested := dig "requests" "memory" (printf "%sMi" (include "loyalty-processor.usualMebibytes" .)) .Values.resources -}}
{{- $most := include "loyalty-processor.mostMebibytes" . | int64 -}}
{{- $isMore := ge (include "loyalty-processor.mebibytes" $requested | int64) $most -}}
{{- $limit := ternary $requested (printf "%dMi" $most) $isMore -}}
{{- $computed := dict "requests" (dict "memory" $requested) "limits" (dict "memory" $limit) -}}
{{- mergeOverwrite $computed (deepCopy .Values.resources) | toYaml -}}
{{- end }}
