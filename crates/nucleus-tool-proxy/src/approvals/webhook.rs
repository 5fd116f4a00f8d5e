//! Tells a webhook of the user's that somebody waits for a yes or a no. Delivery is tried on a thread of its own: the task
//! waits for none of it, and what goes wrong is shown.

use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nucleus::{Approver, Feed, WebhookKey};
use nucleus_gate::{Origin, Post, ProxyRules, Roots};
use nucleus_wire::control::{
    ApprovalView, Failure, FailureClass, FeedEvent, FeedStatus, TaskSpec, WebhookTarget,
};
use nucleus_wire::display::escape_block;
use serde_json::json;

/// Deliveries that may wait; a receiver that is slower loses the rest, which is shown.
const QUEUE: usize = 32;
/// Waits before a delivery is tried again: a receiver that restarts or is busy gets it all the same.
const PAUSES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(4)];

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
                    if let Err(why) = runtime.block_on(deliver(&post, &key, &body)) {
                        trouble(&*told, &why);
                    }
                }
            })
            .map_err(|error| policy(&error))?;
        Ok(Self { queue, session: spec.session.clone(), feed })
    }
}

impl Approver for Webhook {
    fn requested(&self, view: ApprovalView) {
        let body = message(&self.session, &view.shortened());
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

/// Delivers one message, trying again where that can help. Each try is signed anew: the time is part of the proof.
async fn deliver(post: &Post, key: &WebhookKey, body: &str) -> Result<(), String> {
    let mut pauses = PAUSES.into_iter();
    loop {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let time = now.as_secs();
        let headers = [
            ("x-nucleus-timestamp", time.to_string()),
            ("x-nucleus-signature", key.sign_delivery(time, body)),
        ];
        let why = match post.send(&headers, body.to_owned()).await {
            Ok(200..=299) => return Ok(()),
            Ok(status @ (408 | 429 | 500..=599)) => format!("it answered with status {status}"),
            // The same message would be refused again.
            Ok(status) => return Err(format!("it answered with status {status}")),
            Err(_) => "it cannot be reached".to_owned(),
        };
        let Some(pause) = pauses.next() else { return Err(format!("{why}, three times")) };
        tokio::time::sleep(pause).await;
    }
}

/// What a chat shows, and beside it what a machine that answers has to sign. A request that is too long for a message is
/// sent by its beginning, and the book takes no yes for it from here.
fn message(session: &str, view: &ApprovalView) -> String {
    let title = format!("nucleus: {} wants a yes or a no ({})", view.operation, view.id);
    let rendering = for_chat(&view.rendering);
    let how = if view.complete {
        format!("nucleus approvals approve {0}   or   deny {0}", view.id)
    } else {
        format!(
            "too long for a message, so an approval is not taken from here: nucleus approvals show {0}, then approve {0} or deny {0}",
            view.id
        )
    };
    json!({
        "text": title,
        "blocks": [
            {"type": "header", "text": {"type": "plain_text", "text": title}},
            {"type": "section", "text": {"type": "mrkdwn", "text": format!("```{rendering}```")}},
            {"type": "context", "elements": [{"type": "plain_text", "text": how}]},
        ],
        "nucleus": {
            "version": 1, "event": "requested", "session": session, "id": view.id,
            "complete": view.complete, "operation": view.operation, "digest": view.digest, "nonce": view.nonce,
            "expires_in_s": view.expires_in_s,
        },
    })
    .to_string()
}

/// A rendering as text of a chat that reads mrkdwn: nothing in it ends the block, links, mentions or notifies. It is as
/// long as [`nucleus_wire::approvals::brief`] counts.
fn for_chat(rendering: &str) -> String {
    let mut shown = String::new();
    for char in escape_block(rendering.trim_end()).chars() {
        match char {
            '&' => shown.push_str("&amp;"),
            '<' => shown.push_str("&lt;"),
            '>' => shown.push_str("&gt;"),
            // A fence inside would end the block and let the agent's words pose as ours.
            '`' => shown.push('\''),
            other => shown.push(other),
        }
    }
    shown
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

#[cfg(test)]
mod tests {
    use super::for_chat;

    #[test]
    fn a_chat_reads_no_link_no_mention_and_no_end_of_the_block() {
        let shown = for_chat("echo <https://evil.example|harmless> & <!channel> ```\nnext");
        assert_eq!(
            shown,
            "echo &lt;https://evil.example|harmless&gt; &amp; &lt;!channel&gt; '''\nnext"
        );
        assert_eq!(for_chat("touch ran.txt"), "touch ran.txt", "what means nothing stays");
    }

    #[test]
    fn what_is_sent_fits_a_section_and_says_that_it_was_cut() {
        for char in ["<", "&", "é", "x\n"] {
            let long = char.repeat(5_000);
            let short = nucleus_wire::approvals::brief(&long, "all of it is there").unwrap();
            let shown = for_chat(&short);
            assert!(shown.chars().count() < 2_700, "{char:?}: {}", shown.chars().count());
            assert!(shown.ends_with(": all of it is there"), "{shown}");
        }
    }
}
