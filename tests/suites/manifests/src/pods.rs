//! Pods in objects, and Kubernetes' pod security level *restricted*, as <https://kubernetes.io/docs/concepts/security/pod-security-standards>
//! has it. Stricter where that costs nothing: what it lets an image decide must be said.

use serde_json::Value;

/// The pod that an object makes, as a value with `metadata` and `spec`.
pub fn template(object: &Value) -> Option<&Value> {
    match object.pointer("/kind")?.as_str()? {
        "Pod" => Some(object),
        "CronJob" => object.pointer("/spec/jobTemplate/spec/template"),
        _ => object
            .pointer("/spec/template")
            .filter(|template| template.pointer("/spec/containers").is_some()),
    }
}

/// Its containers, those of its start and its sidecars first.
pub fn containers(template: &Value) -> impl Iterator<Item = &Value> {
    ["/spec/initContainers", "/spec/containers"]
        .into_iter()
        .filter_map(|pointer| template.pointer(pointer)?.as_array())
        .flatten()
}

/// Everything in a pod that is not as the restricted level wants it.
pub fn unrestricted(template: &Value) -> Vec<String> {
    let mut mistakes = Vec::new();
    let mut wants = |holds: bool, what: &str, place: &str| {
        if !holds {
            mistakes.push(format!("{place}: {what}"));
        }
    };
    let at = |value: &Value, pointer: &str| value.pointer(pointer).cloned().unwrap_or_default();
    let pod = at(template, "/spec/securityContext");
    wants(at(&pod, "/runAsNonRoot") == true, "runAsNonRoot", "pod");
    wants(
        at(&pod, "/runAsUser").as_u64().is_some_and(|user| user > 0),
        "a numeric user",
        "pod",
    );
    wants(
        at(&pod, "/seccompProfile/type") == "RuntimeDefault",
        "seccompProfile",
        "pod",
    );
    for field in ["hostNetwork", "hostPID", "hostIPC"] {
        wants(at(template, &format!("/spec/{field}")) != true, field, "pod");
    }
    let volumes = at(template, "/spec/volumes");
    for volume in volumes.as_array().into_iter().flatten() {
        wants(volume.get("hostPath").is_none(), "hostPath", "pod");
    }
    for container in containers(template) {
        let place = at(container, "/name").to_string();
        let security = at(container, "/securityContext");
        wants(
            at(&security, "/allowPrivilegeEscalation") == false,
            "allowPrivilegeEscalation",
            &place,
        );
        wants(
            at(&security, "/capabilities/drop") == serde_json::json!(["ALL"]),
            "drop ALL",
            &place,
        );
        for field in ["/privileged", "/capabilities/add", "/runAsUser", "/seccompProfile"] {
            wants(security.pointer(field).is_none(), field, &place);
        }
    }
    mistakes
}
