//! What the door says to one request, whatever way it came in.

use std::time::Instant;

use nucleus::{Cancel, Ending, Progress};
use nucleus_wire::mcp::{
    CallTool, Envelope, EnvelopeError, ErrorCode, Image, Initialize, ProtocolVersion, Reply,
    Request, RequestId, ServerInfo, ToolResult,
};
use nucleus_wire::tool::{self, PermissionPrompt, ToolName};
use serde_json::{Map, Value};

use super::{Door, Scope};

/// How long a client may keep what it was told of the server and its tools, which do not change while a task runs.
const LIST_TTL_MS: u64 = 300_000;
/// How to work with the tools, for the model.
const INSTRUCTIONS: &str = "Every tool acts on the workspace through Nucleus, which enforces the user's permissions. A refusal names the \
rule and the next step that is allowed; do not retry a refused call unchanged. Paths are relative to the workspace.";
/// What a client outside of any pod must know besides.
const OUTSIDE: &str = "Only calls of these tools are enforced: whatever this client does by other means is not. Changes stay in a session \
of Nucleus and reach the workspace when this server ends.";

/// How a request is to be served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Era {
    /// By what `initialize` settled on this connection.
    Handshake,
    /// By its own metadata alone.
    Stateless,
}

impl Era {
    /// Tells the era of a request by its metadata.
    ///
    /// # Errors
    /// Incomplete metadata or an unknown revision.
    pub(crate) fn of(params: &Map<String, Value>) -> Result<Self, EnvelopeError> {
        Ok(match Envelope::of(params)? {
            Some(_) => Self::Stateless,
            None => Self::Handshake,
        })
    }

    /// Whether requests of this kind exist in it.
    fn knows(self, request: &Request) -> bool {
        match request {
            Request::Initialize(_) | Request::Ping => self == Self::Handshake,
            Request::Discover | Request::Listen => self == Self::Stateless,
            Request::ListTools | Request::CallTool(_) => true,
            _ => false,
        }
    }
}

/// What to do about a request.
pub(crate) enum Step {
    /// Answer it so.
    Reply(Reply),
    /// Make this call.
    Call(CallTool),
    /// Keep the stream open; nothing will come.
    Listen,
}

impl Door {
    /// Answers what needs no effect.
    pub(crate) fn step(&self, id: &RequestId, request: Request, era: Era) -> Step {
        if !era.knows(&request) {
            return Step::Reply(Reply::method_not_found(id.clone()));
        }
        let id = id.clone();
        let reply = match request {
            Request::Initialize(initialize) => self.initialized(id, &initialize),
            Request::Ping => Reply::pong(id),
            Request::Discover => Reply::discovered(id, &self.server(), self.versions())
                .stateless(&self.server())
                .cacheable(LIST_TTL_MS),
            Request::ListTools => {
                let reply = Reply::tools(id, tool::schemas(&self.executor.tools()));
                match era {
                    Era::Handshake => reply,
                    Era::Stateless => reply.stateless(&self.server()).cacheable(LIST_TTL_MS),
                }
            }
            Request::CallTool(call) => return Step::Call(call),
            Request::Listen => return Step::Listen,
            _ => Reply::method_not_found(id),
        };
        Step::Reply(reply)
    }

    /// Makes a call and says what came of it.
    pub(crate) fn answer(
        &self,
        id: RequestId,
        call: &CallTool,
        era: Era,
        cancel: &Cancel,
        progress: &dyn Progress,
    ) -> Reply {
        let round = match era {
            Era::Handshake => None,
            Era::Stateless => match self.rounds.take(call, Instant::now()) {
                Ok(round) => Some(round),
                Err(_) => {
                    self.malformed("frame.request_state");
                    let text = "\"requestState\" is not of this call, or was used: leave it out and call again";
                    return Reply::error(Some(id), ErrorCode::InvalidParams, text);
                }
            },
        };
        let result =
            self.executor.serve(&call.name, &call.arguments, &self.caller, cancel, progress);
        let prompt = self.answers_prompt(&call.name);
        let on_the_wire = |result| if prompt { verdict(result) } else { on_the_wire(result) };
        let Some(round) = round else { return Reply::tool(id, on_the_wire(result)) };
        // A person is asked, elsewhere: never by way of this client, which could answer for itself.
        let waits = matches!(result.ending, Ending::ApprovalRequired { id: Some(_), .. });
        let again = waits.then(|| self.rounds.issue(call, round, Instant::now())).flatten();
        match again {
            Some(state) => Reply::input_required(id, &state),
            None => Reply::tool(id, on_the_wire(result)),
        }
        .stateless(&self.server())
    }

    /// True for a question about a tool of the client's own, where it is taken.
    fn answers_prompt(&self, name: &str) -> bool {
        name == ToolName::PermissionPrompt.as_str()
            && self.executor.tools().contains(&ToolName::PermissionPrompt)
    }

    fn initialized(&self, id: RequestId, initialize: &Initialize) -> Reply {
        let version = ProtocolVersion::negotiate(&initialize.protocol_version);
        Reply::initialized(id, version, &self.server())
    }

    /// Revisions spoken here: those with a handshake need a connection that remembers it.
    pub(crate) fn versions(&self) -> &'static [ProtocolVersion] {
        match self.scope {
            Scope::Pod | Scope::Outside => &ProtocolVersion::ALL,
            Scope::OutsideHttp => &[ProtocolVersion::V2026_07_28],
        }
    }

    fn server(&self) -> ServerInfo<'_> {
        ServerInfo {
            name: "nucleus",
            title: Some("Nucleus"),
            version: env!("CARGO_PKG_VERSION"),
            instructions: Some(&self.instructions),
        }
    }
}

/// What the server tells the model behind clients of this scope.
pub(super) fn instructions(scope: Scope, withheld: Option<String>) -> String {
    let outside = match scope {
        Scope::Pod => None,
        Scope::Outside | Scope::OutsideHttp => Some(OUTSIDE.to_owned()),
    };
    [Some(INSTRUCTIONS.to_owned()), outside, withheld]
        .into_iter()
        .flatten()
        .collect::<Vec<_>>()
        .join(" ")
}

/// A refusal of a tool of the client's own is an answer, not an error: marked as one, the client would show its model
/// the wrapping instead of the words.
fn verdict(result: nucleus::ToolResult) -> ToolResult {
    ToolResult::text(match result.ending {
        Ending::Done { .. } => result.text,
        _ => PermissionPrompt::denied(&result.text),
    })
}

fn on_the_wire(result: nucleus::ToolResult) -> ToolResult {
    let error = result.is_error();
    let mut wire =
        if error { ToolResult::error(result.text) } else { ToolResult::text(result.text) };
    if let Some(image) = result.image {
        wire = wire.with_image(Image { bytes: image.bytes, mime_type: image.mime_type });
    }
    // Not as `structuredContent`: Claude Code shows the model that instead of the text, and the output would be lost.
    match result.structured {
        Some(data) => wire.with_meta(Map::from_iter([("nucleus/result".to_owned(), data)])),
        None => wire,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn whatever_ends_a_question_of_a_client_is_an_answer_it_can_read() {
        let id = RequestId::Integer(1);
        let said = |text: &str, ending: Ending| {
            let result = nucleus::ToolResult {
                text: text.to_owned(),
                image: None,
                structured: None,
                ending,
            };
            let line = Reply::tool(id.clone(), verdict(result)).to_line();
            let line: Value = serde_json::from_slice(&line).unwrap();
            assert_ne!(line.pointer("/result/isError"), Some(&json!(true)), "{line}");
            let text = line.pointer("/result/content/0/text").and_then(Value::as_str).unwrap();
            serde_json::from_str::<Value>(text).unwrap()
        };
        let yes = r#"{"behavior":"allow","updatedInput":{}}"#;
        let done = Ending::Done { exit: None, truncated: false, job: None, duration_ms: 0 };
        assert_eq!(said(yes, done).to_string(), yes);
        let pending =
            Ending::ApprovalRequired { operation: "run_bash", id: Some("ab12".to_owned()) };
        for (words, ending) in [
            ("pending ab12: make the same call again", pending),
            ("nobody can approve", Ending::ApprovalRequired { operation: "run_bash", id: None }),
            ("no", Ending::Denied(nucleus::Refusal::new("deny.test", "policy", "no"))),
            ("taken back", Ending::Failed { code: "call.cancelled" }),
            ("no \"x\"", Ending::Malformed { code: "args.unknown" }),
        ] {
            assert_eq!(said(words, ending), json!({"behavior": "deny", "message": words}));
        }
    }
}
