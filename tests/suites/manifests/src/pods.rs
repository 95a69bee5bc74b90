//! Pods in objects, and Kubernetes' pod security level *restricted*
//! (<https://kubernetes.io/docs/concepts/security/pod-security-standards>). Stricter in one point: what that level leaves to
//! the image must be explicit.

use serde_json::Value;

/// The pod template of an object: a value with `metadata` and `spec`.
pub fn template(object: &Value) -> Option<&Value> {
    match object.pointer("/kind")?.as_str()? {
        "Pod" => Some(object),
        "CronJob" => object.pointer("/spec/jobTemplate/spec/template"),
        _ => object
            .pointer("/spec/template")
            .filter(|template| template.pointer("/spec/containers").is_some()),
    }
}

/// Its containers, init containers and sidecars first.
pub fn containers(template: &Value) -> impl Iterator<Item = &Value> {
    ["/spec/initContainers", "/spec/containers"]
        .into_iter()
        .filter_map(|pointer| template.pointer(pointer)?.as_array())
        .flatten()
}

/// Everything in a pod that violates the restricted level.
pub fn violations(template: &Value) -> Vec<String> {
    let mut violations = Vec::new();
    let mut require = |holds: bool, what: &str, whose: &str| {
        if !holds {
            violations.push(format!("{whose}: {what}"));
        }
    };
    let at = |value: &Value, pointer: &str| value.pointer(pointer).cloned().unwrap_or_default();
    let pod = at(template, "/spec/securityContext");
    require(at(&pod, "/runAsNonRoot") == true, "runAsNonRoot", "pod");
    require(
        at(&pod, "/runAsUser").as_u64().is_some_and(|user| user > 0),
        "a numeric user",
        "pod",
    );
    require(
        at(&pod, "/seccompProfile/type") == "RuntimeDefault",
        "seccompProfile",
        "pod",
    );
    for field in ["hostNetwork", "hostPID", "hostIPC"] {
        require(at(template, &format!("/spec/{field}")) != true, field, "pod");
    }
    let volumes = at(template, "/spec/volumes");
    for volume in volumes.as_array().into_iter().flatten() {
        require(volume.get("hostPath").is_none(), "hostPath", "pod");
    }
    for container in containers(template) {
        let name = at(container, "/name").to_string();
        let security = at(container, "/securityContext");
        require(
            at(&security, "/allowPrivilegeEscalation") == false,
            "allowPrivilegeEscalation",
            &name,
        );
        require(
            at(&security, "/capabilities/drop") == serde_json::json!(["ALL"]),
            "drop ALL",
            &name,
        );
        for field in ["/privileged", "/capabilities/add", "/runAsUser", "/seccompProfile"] {
            require(security.pointer(field).is_none(), field, &name);
        }
    }
    violations
}
