//! Owns the events of a streamed response: their payloads, where the usage is, and their lines. `body_builder` cuts them
//! into writes.

use serde_json::Value;

use crate::behaviour::{Behaviour, ResponseEnd, UsagePlacement};
use crate::completion::{Completion, FINGERPRINT};
use crate::inference_request::{Kind, StreamOptions};
use crate::step::BodyEnd;

const DONE: &str = "[DONE]";
/// What vLLM sends when the engine dies after the response headers.
const ENGINE_ERROR: &str =
    r#"{"error":{"message":"EngineCore encountered an issue.","type":"InternalServerError","param":null,"code":500}}"#;
/// The trailing members of a chat stream's first events.
const PROMPT_NULLS: &str = r#","prompt_token_ids":null,"prompt_text":null"#;

struct Event {
    /// The elements of the JSON array.
    choices: String,
    usage: Usage,
    trailing: TrailingFields,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Usage {
    Absent,
    Null,
    /// The completion tokens so far, with `continuous_usage_stats`.
    Continuous(u64),
    Final,
}

/// The members after `usage`.
#[derive(Clone, Copy)]
enum TrailingFields {
    Empty,
    PromptNulls,
    Fingerprint,
}

/// The payloads of the `data:` events in order, `[DONE]` included, and how the body ends after them.
pub(crate) fn payloads(
    completion: &Completion,
    options: StreamOptions,
    behaviour: &Behaviour,
) -> (Vec<String>, BodyEnd) {
    let events = place_usage(options, behaviour.usage, choice_events(completion, options, behaviour));
    let mut payloads: Vec<String> = events.iter().map(|event| event.render(completion)).collect();
    let done = behaviour.done.then(|| DONE.to_owned());
    match behaviour.end {
        ResponseEnd::ErrorEvent(n) => {
            payloads.truncate(n);
            payloads.push(ENGINE_ERROR.to_owned());
            payloads.extend(done);
            (payloads, BodyEnd::Complete)
        }
        ResponseEnd::EndEvent(n) if n < payloads.len() => {
            payloads.truncate(n);
            (payloads, BodyEnd::Complete)
        }
        ResponseEnd::CutEvent(n) => {
            payloads.extend(done);
            truncated(payloads, n, BodyEnd::Abort)
        }
        ResponseEnd::HangEvent(n) => {
            payloads.extend(done);
            truncated(payloads, n, BodyEnd::Hang)
        }
        ResponseEnd::Complete
        | ResponseEnd::EndEvent(_)
        | ResponseEnd::CutHeaders
        | ResponseEnd::CutBody(_)
        | ResponseEnd::HangHeaders => {
            payloads.extend(done);
            (payloads, BodyEnd::Complete)
        }
    }
}

pub(crate) fn lines(payload: &str, is_last: bool, behaviour: &Behaviour) -> String {
    let eol = behaviour.eol.as_str();
    let space = if behaviour.space { " " } else { "" };
    let blank = if is_last && !behaviour.last_blank { "" } else { eol };
    format!("data:{space}{payload}{eol}{blank}")
}

/// A keep-alive comment and a blank line, as other servers send it.
pub(crate) fn comment(behaviour: &Behaviour) -> String {
    let eol = behaviour.eol.as_str();
    format!(": ping{eol}{eol}")
}

/// The first `n` payloads and this end, or the complete body if it has fewer.
fn truncated(mut payloads: Vec<String>, n: usize, end: BodyEnd) -> (Vec<String>, BodyEnd) {
    if n > payloads.len() {
        return (payloads, BodyEnd::Complete);
    }
    payloads.truncate(n);
    (payloads, end)
}

/// The events with choices.
fn choice_events(completion: &Completion, options: StreamOptions, behaviour: &Behaviour) -> Vec<Event> {
    let mut events = Vec::new();
    let usage = |tokens| {
        if options.continuous_usage {
            Usage::Continuous(tokens)
        } else {
            Usage::Absent
        }
    };
    if completion.kind == Kind::Chat {
        events.extend((0..completion.choices).map(|index| Event {
            choices: format!(
                r#"{{"index":{index},"delta":{{"role":"assistant","content":""}},"logprobs":null,"finish_reason":null}}"#
            ),
            usage: usage(0),
            trailing: TrailingFields::PromptNulls,
        }));
    }
    let mut sent: u64 = 0;
    loop {
        let from = sent;
        sent = from
            .saturating_add(behaviour.tokens_per_event.get())
            .min(completion.tokens);
        let finish = (sent == completion.tokens).then(|| completion.finish.as_str());
        let text = completion.text(from..sent);
        events.extend((0..completion.choices).map(|index| Event {
            choices: choice(completion.kind, index, &text, finish),
            usage: usage(sent),
            trailing: TrailingFields::Empty,
        }));
        if finish.is_some() {
            return events;
        }
    }
}

fn choice(kind: Kind, index: u64, text: &str, finish: Option<&str>) -> String {
    let reason = finish.map_or("null".to_owned(), |reason| format!("\"{reason}\""));
    match kind {
        Kind::Chat => {
            // vLLM sends a stop reason only with a finish reason.
            let stop = if finish.is_some() { r#","stop_reason":null"# } else { "" };
            format!(
                r#"{{"index":{index},"delta":{{"content":{text}}},"logprobs":null,"finish_reason":{reason}{stop},"token_ids":null}}"#
            )
        }
        Kind::Completions => format!(
            r#"{{"index":{index},"text":{text},"logprobs":null,"finish_reason":{reason},"stop_reason":null,"prompt_token_ids":null,"token_ids":null}}"#
        ),
    }
}

/// Adds the usage to the events, and the fingerprint to the last of them.
fn place_usage(options: StreamOptions, placement: UsagePlacement, mut events: Vec<Event>) -> Vec<Event> {
    let usage_event = || Event {
        choices: String::new(),
        usage: Usage::Final,
        trailing: TrailingFields::Fingerprint,
    };
    let placement = if options.include_usage {
        placement
    } else {
        UsagePlacement::Absent
    };
    match placement {
        UsagePlacement::AsRequested => events.push(usage_event()),
        UsagePlacement::Repeat => events.extend([usage_event(), usage_event()]),
        UsagePlacement::Null => {
            for event in events.iter_mut().filter(|event| event.usage == Usage::Absent) {
                event.usage = Usage::Null;
            }
            events.push(usage_event());
        }
        UsagePlacement::Absent | UsagePlacement::Early => {
            for event in &mut events {
                event.usage = Usage::Absent;
            }
        }
    }
    if placement == UsagePlacement::Early {
        let index = events.len().saturating_sub(2);
        if let Some(event) = events.get_mut(index) {
            event.usage = Usage::Final;
        }
    }
    if let Some(last) = events.last_mut() {
        last.trailing = TrailingFields::Fingerprint;
    }
    events
}

// === impl Event ===

impl Event {
    fn render(&self, completion: &Completion) -> String {
        let Self {
            choices,
            usage,
            trailing,
        } = self;
        let Completion { id, created, .. } = completion;
        let model = Value::from(completion.model.as_str());
        let object = match completion.kind {
            Kind::Chat => "chat.completion.chunk",
            Kind::Completions => "text_completion",
        };
        let usage = match usage {
            Usage::Absent => String::new(),
            Usage::Null => r#","usage":null"#.to_owned(),
            Usage::Continuous(tokens) => {
                let counts = completion.counts(*tokens);
                let details = match completion.kind {
                    Kind::Chat => r#","completion_tokens_details":null"#,
                    Kind::Completions => "",
                };
                format!(r#","usage":{{{counts}{details}}}"#)
            }
            Usage::Final => format!(r#","usage":{{{}}}"#, completion.counts(completion.completion_tokens())),
        };
        let trailing = match trailing {
            TrailingFields::Empty => String::new(),
            TrailingFields::PromptNulls => PROMPT_NULLS.to_owned(),
            TrailingFields::Fingerprint => format!(r#","system_fingerprint":"{FINGERPRINT}""#),
        };
        format!(
            r#"{{"id":"{id}","object":"{object}","created":{created},"model":{model},"choices":[{choices}]{usage}{trailing}}}"#
        )
    }
}
