//! Tells a webhook of the user's that somebody waits for a yes or a no. Delivery is tried on a thread of its own: the task
//! waits for none of it, and what goes wrong is shown.

use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::{SystemTime, UNIX_EPOCH};

use nucleus::{Approver, Feed, WebhookKey};
use nucleus_gate::{Origin, Post, ProxyRules, Roots};
use nucleus_wire::control::{
    ApprovalView, Failure, FailureClass, FeedEvent, FeedStatus, TaskSpec, WebhookTarget,
};
use nucleus_wire::display::escape_short;
use serde_json::json;

/// Deliveries that may wait; a receiver that is slower loses the rest, which is shown.
const QUEUE: usize = 32;
/// Longest rendering in a message, in characters.
const RENDERING_CHARS: usize = 2_500;

/// The way to the webhook.
pub(super) struct Webhook {
    queue: SyncSender<String>,
    session: String,
    feed: Arc<dyn Feed>,
}

impl Webhook {
    /// Starts the thread that delivers.
    ///
    /// # Errors
    /// The address or the proxy cannot be used.
    pub(super) fn start(
        target: &WebhookTarget,
        spec: &TaskSpec,
        key: &Arc<WebhookKey>,
        feed: Arc<dyn Feed>,
    ) -> Result<Self, Failure> {
        let policy = |error: &dyn std::fmt::Display| Failure {
            class: FailureClass::Policy,
            message: format!("the webhook: {error}"),
            hint: Some("see [approvals] in the configuration file".to_owned()),
        };
        let origin = Origin::parse(&target.url).map_err(|error| policy(&error))?;
        let extra = target.extra_roots.as_ref().map(std::fs::read).transpose();
        let extra = extra.map_err(|error| policy(&error))?;
        let roots = if origin.is_tls() {
            Roots::load(extra.as_deref()).map_err(|error| policy(&error))?
        } else {
            Roots::none()
        };
        let proxy = ProxyRules::parse(target.https_proxy.as_deref(), target.no_proxy.as_deref())
            .map_err(|error| policy(&error))?;
        let post = Post::new(&target.url, proxy, roots).map_err(|error| policy(&error))?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| policy(&error))?;
        let (queue, deliveries) = sync_channel::<String>(QUEUE);
        let (key, told) = (Arc::clone(key), Arc::clone(&feed));
        std::thread::Builder::new()
            .name("webhook".to_owned())
            .spawn(move || {
                for body in deliveries {
                    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                    let time = now.as_secs();
                    let headers = [
                        ("x-nucleus-timestamp", time.to_string()),
                        ("x-nucleus-signature", key.sign_delivery(time, &body)),
                    ];
                    match runtime.block_on(post.send(&headers, body)) {
                        Ok(200..=299) => {}
                        Ok(status) => trouble(&*told, &format!("it answered with status {status}")),
                        Err(_) => trouble(&*told, "it cannot be reached"),
                    }
                }
            })
            .map_err(|error| policy(&error))?;
        Ok(Self { queue, session: spec.session.clone(), feed })
    }
}

impl Approver for Webhook {
    fn requested(&self, view: ApprovalView) {
        let body = message(&self.session, &view);
        if self.queue.try_send(body).is_err() {
            trouble(&*self.feed, "too many messages wait for it");
        }
    }

    fn settled(&self, id: &str, outcome: &'static str) {
        let text = format!("{id} {outcome}");
        let body = json!({
            "text": format!("nucleus: request {text} (session {})", self.session),
            "nucleus": {"version": 1, "event": "settled", "session": self.session, "id": id, "outcome": outcome},
        });
        if self.queue.try_send(body.to_string()).is_err() {
            trouble(&*self.feed, "too many messages wait for it");
        }
    }
}

/// What a chat shows, and beside it what a machine that answers has to sign.
fn message(session: &str, view: &ApprovalView) -> String {
    let title = format!("nucleus: {} wants a yes or a no ({})", view.operation, view.id);
    // A fence inside would end the block and let the agent's words pose as ours.
    let rendering = escape_block_short(&view.rendering).replace('`', "'");
    let how = format!("nucleus approvals approve {0}   or   deny {0}", view.id);
    json!({
        "text": title,
        "blocks": [
            {"type": "header", "text": {"type": "plain_text", "text": title}},
            {"type": "section", "text": {"type": "mrkdwn", "text": format!("```{rendering}```")}},
            {"type": "context", "elements": [{"type": "plain_text", "text": how}]},
        ],
        "nucleus": {
            "version": 1, "event": "requested", "session": session, "id": view.id,
            "operation": view.operation, "digest": view.digest, "nonce": view.nonce,
            "expires_in_s": view.expires_in_s,
        },
    })
    .to_string()
}

fn escape_block_short(rendering: &str) -> String {
    let lines: Vec<String> =
        rendering.lines().map(|line| escape_short(line, RENDERING_CHARS)).collect();
    let whole = lines.join("\n");
    if whole.chars().count() <= RENDERING_CHARS {
        return whole;
    }
    let head: String = whole.chars().take(RENDERING_CHARS).collect();
    format!("{head}\n… cut here: read all of it with nucleus approvals show")
}

fn trouble(feed: &dyn Feed, what: &str) {
    feed.event(FeedEvent {
        call: 0,
        status: FeedStatus::Failed,
        tool: "webhook".to_owned(),
        target: "a message about an approval was not delivered".to_owned(),
        rule: None,
        layer: None,
        detail: Some(what.to_owned()),
        duration_ms: None,
    });
}
