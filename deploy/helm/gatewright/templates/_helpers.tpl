{{- define "gatewright.selector" -}}
app.kubernetes.io/name: gatewright
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}
{{- define "gatewright.labels" -}}
{{ include "gatewright.selector" . }}
app.kubernetes.io/component: {{ .Values.mode }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}
{{- define "gatewright.name" -}}
{{ .Release.Name | trunc 50 | trimSuffix "-" }}
{{- end }}
{{- define "gatewright.config" -}}
{{ .Values.existingConfigMap | default (printf "%s-config" (include "gatewright.name" .)) }}
{{- end }}
{{- define "gatewright.tag" -}}
{{- .Values.image.tag | default (printf "%s%s" .Chart.AppVersion (ternary "-run" "" (eq .Values.mode "gateway"))) }}
{{- end }}
