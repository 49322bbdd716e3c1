{{- /* What the processes of a pod may take, in MiB as the kernel counts them; docs/performance.md has the measurements,
docs/deployment.md the formula. */ -}}

{{- define "loyalty-processor.supervisorMebibytes" -}}70{{- end }}

{{- define "loyalty-processor.idleWorkerMebibytes" -}}75{{- end }}

{{- /* Of each call that is under way. */ -}}
{{- define "loyalty-processor.callKibibytes" -}}
{{- ternary 98 80 (eq (default "grpcio" .Values.settings.transport) "native") -}}
{{- end }}

{{- /* A worker with all the calls that it takes on, and next to nothing in its queues. */ -}}
{{- define "loyalty-processor.busyWorkerMebibytes" -}}
{{- $calls := default 1250 .Values.settings.calls_max -}}
{{- $kibibytes := mul $calls (include "loyalty-processor.callKibibytes" . | int64) -}}
{{- add (include "loyalty-processor.idleWorkerMebibytes" . | int64) (divf $kibibytes 1024 | ceil) -}}
{{- end }}

{{- define "loyalty-processor.queueMebibytes" -}}
{{- divf (default 268435456 .Values.settings.queue_bytes_max) 1048576 | ceil | int64 -}}
{{- end }}

{{- define "loyalty-processor.fullWorkerMebibytes" -}}
{{- add (include "loyalty-processor.busyWorkerMebibytes" .) (include "loyalty-processor.queueMebibytes" .) -}}
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

{{- /* The same with full queues, and with one worker more: while SIGHUP replaces the workers, a spare one serves beside
them, and it may have taken on all it can while the one that leaves still finishes all that it had. */ -}}
{{- define "loyalty-processor.mostMebibytes" -}}
{{- $processes := include "loyalty-processor.workers" . | int64 | add1 -}}
{{- $workers := mul $processes (include "loyalty-processor.fullWorkerMebibytes" .) -}}
{{- add (include "loyalty-processor.supervisorMebibytes" .) (include "loyalty-processor.tmpMebibytes" .) $workers -}}
{{- end }}

{{- /* The number that a quantity stands for, such as 512Mi, 1.5G or 5e8. */ -}}
{{- define "loyalty-processor.number" -}}
{{- $text := include "loyalty-processor.plain" . -}}
{{- $digits := regexFind "^[+0-9.]+" $text -}}
{{- $suffix := trimPrefix $digits $text -}}
{{- $decimal := dict "n" 1e-9 "u" 1e-6 "m" 1e-3 "" 1.0 "k" 1e3 "M" 1e6 "G" 1e9 "T" 1e12 "P" 1e15 "E" 1e18 -}}
{{- $binary := dict "Ki" 0x1p10 "Mi" 0x1p20 "Gi" 0x1p30 "Ti" 0x1p40 "Pi" 0x1p50 "Ei" 0x1p60 -}}
{{- $factors := merge $decimal $binary -}}
{{- if hasKey $factors $suffix -}}
{{- mulf (float64 $digits) (get $factors $suffix) -}}
{{- else -}}
{{- float64 $text -}}
{{- end -}}
{{- end }}

{{- /* Of a quantity, rounded down. */ -}}
{{- define "loyalty-processor.mebibytes" -}}
{{- divf (include "loyalty-processor.number" . | float64) 1048576 | floor | int64 -}}
{{- end }}

{{- /* Those of the values, with the memory computed that is given as empty. */ -}}
{{- define "loyalty-processor.resources" -}}
{{- $resources := deepCopy (default dict .Values.resources) -}}
{{- with $resources.requests -}}
{{- if eq (toString .memory) "" -}}
{{- $_ := set . "memory" (printf "%sMi" (include "loyalty-processor.usualMebibytes" $)) -}}
{{- end -}}
{{- end -}}
{{- with $resources.limits -}}
{{- if eq (toString .memory) "" -}}
{{- $requested := dig "requests" "memory" "0" $resources -}}
{{- $most := include "loyalty-processor.mostMebibytes" $ | int64 -}}
{{- $isMore := ge (include "loyalty-processor.mebibytes" $requested | int64) $most -}}
{{- $_ := set . "memory" (ternary $requested (printf "%dMi" $most) $isMore) -}}
{{- end -}}
{{- end -}}
{{- toYaml $resources -}}
{{- end }}
