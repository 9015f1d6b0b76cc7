{{/*
Names. 52 characters at most: the longest suffix of a Service and the hash that a StatefulSet's pods get still fit into 63.
*/}}
{{- define "switchboard.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 52 | trimAll "-" -}}
{{- end -}}

{{- define "switchboard.fullname" -}}
{{- $name := include "switchboard.name" . -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 52 | trimAll "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 52 | trimAll "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 52 | trimAll "-" -}}
{{- end -}}
{{- end -}}

{{- define "switchboard.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "switchboard.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "switchboard.image" -}}
{{- $image := .Values.image -}}
{{- $repository := list $image.registry $image.repository | compact | join "/" -}}
{{- if $image.digest -}}
{{- printf "%s@%s" $repository $image.digest -}}
{{- else -}}
{{- printf "%s:%s" $repository (default .Chart.AppVersion $image.tag) -}}
{{- end -}}
{{- end -}}

{{/*
What selects the pods of a component, as JSON. Arguments: context, component.
*/}}
{{- define "switchboard.selectorLabels" -}}
{{- dict
  "app.kubernetes.io/name" (include "switchboard.name" .context)
  "app.kubernetes.io/instance" .context.Release.Name
  "app.kubernetes.io/component" .component
| toJson -}}
{{- end -}}

{{/*
The label by which pods are let in to gRPC where `networkPolicy.grpcFrom` does not say otherwise, as JSON.
*/}}
{{- define "switchboard.clientLabel" -}}
{{- dict (printf "%s-client" (include "switchboard.fullname" .)) "true" | toJson -}}
{{- end -}}

{{/*
The metadata of an object. Arguments: context, component; suffix of its name; labels and annotations of its own.
The chart's own labels go before those of the values: selectors rely on them.
*/}}
{{- define "switchboard.metadata" -}}
{{- $context := .context -}}
{{- $labels := merge
  (dict
    "helm.sh/chart" (printf "%s-%s" $context.Chart.Name $context.Chart.Version | replace "+" "_" | trunc 63 | trimAll "._-")
    "app.kubernetes.io/version" (default $context.Chart.AppVersion $context.Values.image.tag | trunc 63 | trimAll "._-")
    "app.kubernetes.io/managed-by" $context.Release.Service)
  (include "switchboard.selectorLabels" . | fromJson)
  (deepCopy (default dict .labels))
  (deepCopy $context.Values.commonLabels)
-}}
{{- $annotations := merge (deepCopy (default dict .annotations)) (deepCopy $context.Values.commonAnnotations) -}}
name: {{ default (printf "%s%s" (include "switchboard.fullname" $context) (default "" .suffix)) .name }}
namespace: {{ $context.Release.Namespace }}
labels:
  {{- toYaml $labels | nindent 2 }}
{{- with $annotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/*
The labels of a pod. Those that change with every version of the chart are left out: they would restart it.
Arguments: context, component, labels.
*/}}
{{- define "switchboard.podLabels" -}}
{{- merge
  (include "switchboard.selectorLabels" . | fromJson)
  (deepCopy (default dict .labels))
  (deepCopy .context.Values.commonLabels)
| toYaml -}}
{{- end -}}

{{/*
The host of a URL, without its port.
*/}}
{{- define "switchboard.hostOf" -}}
{{- with . -}}{{- get (urlParse .) "hostname" -}}{{- end -}}
{{- end -}}

{{/*
The URL that `config.public.url` names, if any.
*/}}
{{- define "switchboard.publicUrl" -}}
{{- dig "public" "url" "" .Values.config -}}
{{- end -}}

{{/*
Whether there is a Service for the public listener: "true" or nothing.
*/}}
{{- define "switchboard.hasPublicService" -}}
{{- if or .Values.service.public.enabled .Values.ingress.enabled .Values.httpRoute.enabled -}}true{{- end -}}
{{- end -}}

{{- define "switchboard.simulatorUrl" -}}
http://{{ include "switchboard.fullname" . }}-simulator:8081
{{- end -}}
