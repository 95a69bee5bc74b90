//! Owns the events of a streamed answer: what each carries, where the usage stands, and their lines. How the bytes are
//! cut into writes is `pieces`' matter.

use serde_json::Value;

use crate::answer::{Decision, FINGERPRINT};
use crate::behaviour::{Behaviour, Ending, UsageShape};
use crate::request::{Kind, StreamAsk};

const DONE: &str = "[DONE]";
/// What vLLM sends when the engine dies after the headers went out.
const ENGINE_ERROR: &str =
    r#"{"error":{"message":"EngineCore encountered an issue.","type":"InternalServerError","param":null,"code":500}}"#;
/// Nulls that vLLM puts into a chat stream's first events.
const PROMPT_NULLS: &str = r#","prompt_token_ids":null,"prompt_text":null"#;

/// How a stream stops once its events are out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    Clean,
    Abort,
    Hang,
}

/// The payloads of the `data:` events in order, `[DONE]` with them, and what comes after.
pub(crate) fn events(decision: &Decision, ask: StreamAsk, behaviour: &Behaviour) -> (Vec<String>, Stop) {
    let drafts = place_usage(ask, behaviour.usage, drafts(decision, ask, behaviour));
    let mut events: Vec<String> = drafts.iter().map(|draft| draft.render(decision)).collect();
    let done = behaviour.done.then(|| DONE.to_owned());
    match behaviour.ending {
        Ending::ErrorEvent(n) => {
            events.truncate(n);
            events.push(ENGINE_ERROR.to_owned());
            events.extend(done);
            (events, Stop::Clean)
        }
        Ending::EndEvent(n) if n < events.len() => {
            events.truncate(n);
            (events, Stop::Clean)
        }
        Ending::CutEvent(n) => {
            events.extend(done);
            let stop = if n <= events.len() { Stop::Abort } else { Stop::Clean };
            events.truncate(n);
            (events, stop)
        }
        Ending::HangEvent(n) => {
            events.extend(done);
            let stop = if n <= events.len() { Stop::Hang } else { Stop::Clean };
            events.truncate(n);
            (events, stop)
        }
        Ending::Whole | Ending::EndEvent(_) | Ending::CutHeaders | Ending::CutBody(_) | Ending::HangHeaders => {
            events.extend(done);
            (events, Stop::Clean)
        }
    }
}

/// The lines of one event; the last one of a body may lack its blank line.
pub(crate) fn lines(payload: &str, last: bool, behaviour: &Behaviour) -> String {
    let eol = behaviour.eol.as_str();
    let space = if behaviour.space { " " } else { "" };
    let blank = if last && !behaviour.last_blank { "" } else { eol };
    format!("data:{space}{payload}{eol}{blank}")
}

/// A keep-alive comment, with its blank line as other servers send it.
pub(crate) fn comment(behaviour: &Behaviour) -> String {
    let eol = behaviour.eol.as_str();
    format!(": ping{eol}{eol}")
}

struct Draft {
    /// The choices, as the inside of a JSON array.
    choices: String,
    usage: Usage,
    /// Members after `usage`.
    tail: Tail,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Usage {
    Absent,
    Null,
    /// So far, inside an event that carries a choice.
    Running(u64),
    /// The answer's own.
    Whole,
}

#[derive(Clone, Copy)]
enum Tail {
    Nothing,
    Prompt,
    Fingerprint,
}

/// The events that carry choices.
fn drafts(decision: &Decision, ask: StreamAsk, behaviour: &Behaviour) -> Vec<Draft> {
    let mut drafts = Vec::new();
    let usage = |tokens| {
        if ask.continuous {
            Usage::Running(tokens)
        } else {
            Usage::Absent
        }
    };
    if decision.kind == Kind::Chat {
        drafts.extend((0..decision.choices).map(|index| Draft {
            choices: format!(
                r#"{{"index":{index},"delta":{{"role":"assistant","content":""}},"logprobs":null,"finish_reason":null}}"#
            ),
            usage: usage(0),
            tail: Tail::Prompt,
        }));
    }
    let mut made: u64 = 0;
    loop {
        let from = made;
        made = from
            .saturating_add(behaviour.tokens_per_event.get())
            .min(decision.tokens);
        let finish = (made == decision.tokens).then(|| decision.finish.as_str());
        let text = decision.text(from..made);
        drafts.extend((0..decision.choices).map(|index| Draft {
            choices: choice(decision.kind, index, &text, finish),
            usage: usage(made),
            tail: Tail::Nothing,
        }));
        if finish.is_some() {
            return drafts;
        }
    }
}

fn choice(kind: Kind, index: u64, text: &str, finish: Option<&str>) -> String {
    let reason = finish.map_or("null".to_owned(), |reason| format!("\"{reason}\""));
    match kind {
        Kind::Chat => {
            // vLLM names the stop reason only where there is a finish reason.
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

/// Puts the usage where it was asked to stand. The last event tells the fingerprint.
fn place_usage(ask: StreamAsk, shape: UsageShape, mut drafts: Vec<Draft>) -> Vec<Draft> {
    let own = || Draft {
        choices: String::new(),
        usage: Usage::Whole,
        tail: Tail::Fingerprint,
    };
    let shape = if ask.include_usage { shape } else { UsageShape::Absent };
    match shape {
        UsageShape::AsAsked => drafts.push(own()),
        UsageShape::Repeat => drafts.extend([own(), own()]),
        UsageShape::Null => {
            for draft in drafts.iter_mut().filter(|draft| draft.usage == Usage::Absent) {
                draft.usage = Usage::Null;
            }
            drafts.push(own());
        }
        UsageShape::Absent | UsageShape::Early => {
            for draft in &mut drafts {
                draft.usage = Usage::Absent;
            }
        }
    }
    if shape == UsageShape::Early {
        let place = drafts.len().saturating_sub(2);
        if let Some(draft) = drafts.get_mut(place) {
            draft.usage = Usage::Whole;
        }
    }
    if let Some(last) = drafts.last_mut() {
        last.tail = Tail::Fingerprint;
    }
    drafts
}

// === impl Draft ===

impl Draft {
    fn render(&self, decision: &Decision) -> String {
        let Self { choices, usage, tail } = self;
        let Decision { id, created, .. } = decision;
        let model = Value::from(decision.model.as_str());
        let object = match decision.kind {
            Kind::Chat => "chat.completion.chunk",
            Kind::Completions => "text_completion",
        };
        let usage = match usage {
            Usage::Absent => String::new(),
            Usage::Null => r#","usage":null"#.to_owned(),
            Usage::Running(tokens) => {
                let counts = decision.counts(*tokens);
                let details = match decision.kind {
                    Kind::Chat => r#","completion_tokens_details":null"#,
                    Kind::Completions => "",
                };
                format!(r#","usage":{{{counts}{details}}}"#)
            }
            Usage::Whole => format!(r#","usage":{{{}}}"#, decision.counts(decision.completion_tokens())),
        };
        let tail = match tail {
            Tail::Nothing => String::new(),
            Tail::Prompt => PROMPT_NULLS.to_owned(),
            Tail::Fingerprint => format!(r#","system_fingerprint":"{FINGERPRINT}""#),
        };
        format!(
            r#"{{"id":"{id}","object":"{object}","created":{created},"model":{model},"choices":[{choices}]{usage}{tail}}}"#
        )
    }
}
