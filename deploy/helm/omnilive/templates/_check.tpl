{{/* Refuses values that would reach nothing beside others. */}}
{{- define "omnilive.check" -}}
{{- if .Values.auth.existingSecret }}
{{- $unused := dict "auth.apiKeys" .Values.auth.apiKeys "auth.adminKey" .Values.auth.adminKey "turn.secret" .Values.turn.secret }}
{{- range $name, $value := $unused }}
{{- if $value }}{{ fail (printf "%s is not used beside auth.existingSecret: put it into that Secret" $name) }}{{ end }}
{{- end }}
{{- end }}
{{- if and .Values.turn.secret (not .Values.turn.url) }}
{{- fail "turn.secret is not used without turn.url" }}
{{- end }}
{{- with .Values.autoscaling }}
{{- if and .enabled (gt (int .minReplicas) (int .maxReplicas)) }}
{{- fail "autoscaling.minReplicas is above autoscaling.maxReplicas" }}
{{- end }}
{{- if and .enabled (eq .metric "sessions") (ge (int .sessionsPerPod) (int ($.Values.settings.max_conversations | default 4))) }}
{{- fail "autoscaling.sessionsPerPod must be below settings.max_conversations: no pod ever has more, so none would be added" }}
{{- end }}
{{- end }}
{{- end }}
