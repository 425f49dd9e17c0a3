{{/* Prefix of all names. */}}
{{- define "keyforge.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "keyforge.operatorName" -}}
{{- printf "%s-operator" (include "keyforge.fullname" .) -}}
{{- end -}}

{{- define "keyforge.gatewayName" -}}
{{- printf "%s-gateway" (include "keyforge.fullname" .) -}}
{{- end -}}

{{/* Where the gateway is called, without a path. */}}
{{- define "keyforge.gatewayUrl" -}}
{{- $port := int .Values.gateway.service.port -}}
{{- $host := printf "%s.%s.svc" (include "keyforge.gatewayName" .) .Release.Namespace -}}
{{- default (ternary (printf "http://%s" $host) (printf "http://%s:%d" $host $port) (eq $port 80)) .Values.gateway.url -}}
{{- end -}}

{{- define "keyforge.injectorName" -}}
{{- printf "%s-injector" (include "keyforge.fullname" .) -}}
{{- end -}}

{{/* Dict: context, component. */}}
{{- define "keyforge.selectorLabels" -}}
app.kubernetes.io/name: {{ default .context.Chart.Name .context.Values.nameOverride | trunc 63 | trimSuffix "-" }}
app.kubernetes.io/instance: {{ .context.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{/* Dict: context, component. */}}
{{- define "keyforge.labels" -}}
{{ include "keyforge.selectorLabels" . }}
app.kubernetes.io/version: {{ .context.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: keyforge
app.kubernetes.io/managed-by: {{ .context.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .context.Chart.Name .context.Chart.Version | replace "+" "_" }}
{{- with .context.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Dict: context, image. */}}
{{- define "keyforge.image" -}}
{{- $name := .image.repository -}}
{{- if .image.registry -}}{{- $name = printf "%s/%s" .image.registry $name -}}{{- end -}}
{{- if .image.digest -}}{{- printf "%s@%s" $name .image.digest -}}
{{- else -}}{{- printf "%s:%s" $name (default .context.Chart.AppVersion .image.tag) -}}{{- end -}}
{{- end -}}

{{- define "keyforge.operatorImage" -}}
{{- include "keyforge.image" (dict "context" . "image" .Values.operator.image) -}}
{{- end -}}

{{- define "keyforge.proxyImage" -}}
{{- include "keyforge.image" (dict "context" . "image" .Values.proxy.image) -}}
{{- end -}}

{{/* The digests that a running proxy may have, comma-joined; empty: not compared. */}}
{{- define "keyforge.proxyDigests" -}}
{{- $digests := .Values.proxy.allowedDigests -}}
{{- if .Values.proxy.image.digest -}}{{- $digests = prepend $digests .Values.proxy.image.digest -}}{{- end -}}
{{- $digests | uniq | join "," -}}
{{- end -}}

{{/* Comma-joined. */}}
{{- define "keyforge.poolNamespaces" -}}
{{- default (list .Release.Namespace) .Values.operator.poolNamespaces | uniq | join "," -}}
{{- end -}}

{{/* The Secret whose item ca.crt holds the roots under which the operator serves. */}}
{{- define "keyforge.certificateSecret" -}}
{{- if eq .Values.certificates.source "cert-manager" -}}{{- printf "%s-tls" (include "keyforge.operatorName" .) -}}
{{- else -}}keyforge-certificates{{- end -}}
{{- end -}}

{{/* What the restricted Pod Security standard asks of a Pod. Argument: the user. */}}
{{- define "keyforge.podSecurity" -}}
runAsNonRoot: true
runAsUser: {{ . }}
runAsGroup: {{ . }}
fsGroup: {{ . }}
fsGroupChangePolicy: OnRootMismatch
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{/* What it asks of a container. */}}
{{- define "keyforge.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}

{{/* Where a Pod goes. Dict: context, values. */}}
{{- define "keyforge.placement" -}}
{{- with .context.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* Annotations and labels of a Pod. Dict: context, component, values. */}}
{{- define "keyforge.podMetadata" -}}
{{- with .values.podAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
labels:
  {{- include "keyforge.labels" . | nindent 2 }}
  {{- with .values.podLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}

{{/*
PromQL: true where a counter has risen. A series is born with what it counts first, and `increase` sees nothing of that: it has
no value before. Dict: series, by, within.
*/}}
{{- define "keyforge.risen" -}}
sum by ({{ .by }}) (increase({{ .series }}[{{ .within }}])) > 0
  or
sum by ({{ .by }}) ({{ .series }} unless {{ .series }} offset {{ .within }}) > 0
{{- end -}}
