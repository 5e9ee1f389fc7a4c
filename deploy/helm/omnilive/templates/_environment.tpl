{{/* The server's settings as its environment. */}}
{{- define "omnilive.environment" -}}
{{- $given := dict
  "port" 8000
  "metrics_port" .Values.metrics.port
  "drain_timeout_s" .Values.drain.timeoutSeconds
  "engine_start_timeout_s" .Values.model.startTimeoutSeconds
  "device" (ternary "cuda" "cpu" (gt (int .Values.gpu.count) 0))
}}
{{- if eq .Values.model.source "volume" }}
{{- $_ := set $given "model" (printf "/models/%s" .Values.model.path) }}
{{- else if eq .Values.model.source "hub" }}
{{- $_ := set $given "model" .Values.model.hubId }}
{{- end }}
{{- with .Values.auth.allowedOrigins }}{{ $_ := set $given "allowed_origins" (join "," .) }}{{ end }}
{{- with .Values.turn.url }}{{ $_ := set $given "turn_url" . }}{{ end }}
{{- with .Values.turn.stunUrl }}{{ $_ := set $given "stun_url" . }}{{ end }}
{{- range $name, $value := merge $given .Values.settings }}
- name: OMNILIVE_{{ upper $name }}
  value: {{ if kindIs "float64" $value }}{{ if eq (floor $value) $value }}{{ int64 $value | quote }}{{ else }}{{ $value | quote }}{{ end }}{{ else }}{{ $value | quote }}{{ end }}
{{- end }}
{{- if include "omnilive.hasKeys" . }}
- name: OMNILIVE_API_KEYS
  valueFrom:
    secretKeyRef: {name: {{ include "omnilive.secret" . }}, key: api-keys}
{{- end }}
{{- if or .Values.auth.adminKey .Values.auth.existingSecret }}
- name: OMNILIVE_ADMIN_KEY
  valueFrom:
    secretKeyRef: {name: {{ include "omnilive.secret" . }}, key: admin-key, optional: {{ not .Values.auth.adminKey }}}
{{- end }}
{{- if .Values.turn.url }}
- name: OMNILIVE_TURN_SECRET
  valueFrom:
    secretKeyRef: {name: {{ include "omnilive.secret" . }}, key: turn-secret}
{{- end }}
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end }}
