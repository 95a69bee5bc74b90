use super::*;

fn response(status: u16, body: &str) -> Reply {
    Ok(Response {
        status,
        body: body.as_bytes().to_vec(),
    })
}

fn captured(text: &str) -> Reply {
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    response(head[9..12].parse().unwrap(), body)
}

macro_rules! capture {
    ($name:literal) => {
        fixture!("vllm-0.32.0/", $name)
    };
}

macro_rules! sglang {
    ($name:literal) => {
        fixture!("sglang-lora/", $name)
    };
}

macro_rules! fixture {
    ($folder:literal, $name:literal) => {
        captured(include_str!(concat!(
            "../../../../tests/fixtures/",
            $folder,
            $name,
            ".resp"
        )))
    };
}

fn load(reply: Reply) -> Outcome {
    Outcome::of(LoraApi::Vllm, Operation::Load, &reply)
}

fn unload(reply: Reply) -> Outcome {
    Outcome::of(LoraApi::Vllm, Operation::Unload, &reply)
}

fn failed(reason: Reason, message: &str) -> Outcome {
    Outcome::Failed(RequestError {
        reason,
        message: message.to_owned(),
    })
}

#[test]
fn vllm_responses_to_load_requests() {
    assert_eq!(load(capture!("lora_load_ok")), Outcome::Succeeded);
    assert_eq!(load(capture!("lora_load_second")), Outcome::Succeeded);
    let reload = Outcome::of(LoraApi::Vllm, Operation::Reload, &capture!("lora_load_inplace"));
    assert_eq!(reload, Outcome::Succeeded);
    assert!(matches!(
        load(capture!("lora_load_duplicate")),
        Outcome::AlreadyLoaded { .. }
    ));
    for (reply, reason, message) in [
        (
            capture!("lora_load_bad_path"),
            Reason::LoadFailed,
            "404 Loading lora lora-bad failed: No adapter found for <path>",
        ),
        (
            capture!("lora_load_bad_hub_name"),
            Reason::LoadFailed,
            "404 Loading lora lora-bad failed: No adapter found for some/repo",
        ),
        (
            capture!("lora_load_name_of_base"),
            Reason::LoadRejected,
            "400 The lora adapter 'tiny' conflicts with a served base model.",
        ),
    ] {
        assert_eq!(load(reply), failed(reason, message));
    }
    for rejected in [
        capture!("lora_load_empty_field"),
        capture!("lora_load_missing_field"),
        capture!("lora_load_bad_json"),
    ] {
        let Outcome::Failed(error) = load(rejected) else {
            panic!("the request is invalid");
        };
        assert_eq!(error.reason, Reason::LoadRejected, "{error}");
    }
}

#[test]
fn vllm_responses_to_unload_requests() {
    assert_eq!(unload(capture!("lora_unload_ok")), Outcome::Succeeded);
    let already_unloaded = capture!("lora_unload_missing");
    assert_eq!(unload(already_unloaded), Outcome::Succeeded);
    for (reply, message) in [
        (
            capture!("lora_unload_empty"),
            "400 'lora_name' needs to be provided to unload a LoRA adapter.",
        ),
        (response(500, "boom\n\n  bang"), "500 boom bang"),
    ] {
        assert_eq!(unload(reply), failed(Reason::UnloadFailed, message));
    }
}

#[test]
fn sglang_responses_to_load_requests() {
    let load = |reply| Outcome::of(LoraApi::Sglang, Operation::Load, &reply);
    assert_eq!(load(sglang!("load_ok")), Outcome::Succeeded);
    for duplicate in [sglang!("load_duplicate"), sglang!("load_registered")] {
        assert!(matches!(load(duplicate), Outcome::AlreadyLoaded { .. }));
    }
    for (reply, reason, message) in [
        (
            sglang!("load_bad_path"),
            Reason::LoadFailed,
            "400 [Errno 2] No such file or directory",
        ),
        (
            sglang!("load_bad_hub_name"),
            Reason::LoadFailed,
            "400 404 Client Error. Repository",
        ),
        (
            sglang!("load_bad_rank"),
            Reason::LoadRejected,
            "400 LoRA adapter lora-b with rank 64",
        ),
        (
            sglang!("load_disabled"),
            Reason::LoadRejected,
            "400 LoRA is not enabled.",
        ),
        (
            sglang!("load_data_parallel"),
            Reason::LoadFailed,
            "500 Internal Server Error",
        ),
    ] {
        let Outcome::Failed(error) = load(reply) else {
            panic!("{message} is a failure");
        };
        assert_eq!(error.reason, reason, "{error}");
        assert!(error.message.starts_with(message), "{error}");
    }
}

#[test]
fn sglang_responses_to_unload_requests() {
    let unload = |reply| Outcome::of(LoraApi::Sglang, Operation::Unload, &reply);
    assert_eq!(unload(sglang!("unload_ok")), Outcome::Succeeded);
    assert_eq!(unload(sglang!("unload_missing")), Outcome::Succeeded);
    let message = "400 LoRA is not enabled. Please set `--enable-lora` to enable LoRA.";
    assert_eq!(unload(sglang!("load_disabled")), failed(Reason::UnloadFailed, message));
}

#[test]
fn missing_endpoint_is_recognized() {
    let missing = || response(404, r#"{"detail":"Not Found"}"#);
    let message = "404 no such endpoint; vLLM needs VLLM_ALLOW_RUNTIME_LORA_UPDATING=true";
    assert_eq!(load(missing()), failed(Reason::LoadRejected, message));
    assert_eq!(unload(missing()), failed(Reason::UnloadFailed, message));
}

#[test]
fn other_statuses_map_to_a_reason() {
    assert_eq!(load(response(204, "")), Outcome::Succeeded);
    for (status, reason, message) in [
        (500, Reason::LoadFailed, "500 Internal Server Error"),
        (599, Reason::LoadFailed, "status 599"),
        (302, Reason::LoadRejected, "302 Found"),
        (429, Reason::LoadRejected, "429 Too Many Requests"),
    ] {
        assert_eq!(load(response(status, "")), failed(reason, message));
    }
}

#[test]
fn refused_tokens_and_missing_responses_have_the_same_reason_for_every_operation() {
    for operation in [
        Operation::Load,
        Operation::Reload,
        Operation::Restore,
        Operation::Unload,
    ] {
        let outcome = |reply| Outcome::of(LoraApi::Vllm, operation, &reply);
        assert_eq!(
            outcome(response(401, r#"{"error":"Unauthorized"}"#)),
            failed(Reason::Unauthorized, "401 Unauthorized")
        );
        assert_eq!(
            outcome(Err(TransportError::Timeout)),
            failed(Reason::Timeout, "no response within the timeout")
        );
        assert_eq!(
            outcome(Err(TransportError::Unreachable("connection refused".to_owned()))),
            failed(Reason::Unreachable, "connection refused")
        );
    }
}

#[test]
fn long_error_text_is_cut_between_characters() {
    let long = "é".repeat(2 * MAX_ERROR_TEXT);
    let message = format!("400 {}…", "é".repeat(MAX_ERROR_TEXT));
    assert_eq!(load(response(400, &long)), failed(Reason::LoadRejected, &message));
}
