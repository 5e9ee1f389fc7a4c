{{- define "omnilive.name" -}}
{{- $long := printf "%s-%s" .Release.Name .Chart.Name }}
{{- ternary .Release.Name $long (contains .Chart.Name .Release.Name) | trunc 50 | trimSuffix "-" }}
{{- end }}

{{- define "omnilive.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "omnilive.labels" -}}
{{ include "omnilive.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- define "omnilive.secret" -}}
{{- .Values.auth.existingSecret | default (include "omnilive.name" .) }}
{{- end }}

{{- define "omnilive.hasKeys" -}}
{{- if or .Values.auth.apiKeys .Values.auth.existingSecret }}yes{{ end }}
{{- end }}
