use lattice_guard::{Models, Permissions};
use nucleus::{
    Amount, Caller, Channel, Digest, ModelCallRequest, ModelTicket, ModelUsage, Refusal,
};

use crate::support::{Setting, World, agent, free, phases};

fn request() -> ModelCallRequest {
    ModelCallRequest {
        provider: "anthropic".to_owned(),
        model: "claude-opus-5-5".to_owned(),
        body: Digest::of(b"body"),
    }
}

fn worst() -> Amount {
    Amount { cost_micro_usd: 5_000, input_tokens: 300, output_tokens: 200 }
}

fn admit(world: &World) -> Result<ModelTicket, Refusal> {
    let gate = Caller::new(Channel::ModelGate, agent());
    world.executor.model_call(&request(), &gate, |left| {
        if left.output_tokens == 0 {
            return Err(Refusal::new(
                "deny.budget.output_tokens",
                "gate",
                "Refused: no tokens left.",
            ));
        }
        Ok(Amount { output_tokens: worst().output_tokens.min(left.output_tokens), ..worst() })
    })
}

#[test]
fn a_model_call_books_what_was_used() {
    let world = World::new();
    let ticket = admit(&world).unwrap();
    assert_eq!(ticket.reserved(), worst());
    assert_eq!(phases(&world.events(), "intent"), 1, "durable before anything is sent");
    let spent = Amount { cost_micro_usd: 1_234, input_tokens: 20, output_tokens: 7 };
    ticket.settle(ModelUsage { spent, cached_input_tokens: 9_000 });
    assert_eq!(world.budget.booked(), spent);
    assert_eq!(world.budget.reserved(), Amount::ZERO);
    let events = world.closed();
    let outcome = events.iter().find(|event| event.text("phase") == "outcome").unwrap();
    assert_eq!(outcome.text("type"), "model_call");
    assert_eq!(outcome.number("cost_micro_usd"), 1_234);
}

#[test]
fn an_aborted_call_books_everything_that_was_held() {
    let world = World::new();
    drop(admit(&world).unwrap());
    assert_eq!(world.budget.booked(), worst());
    admit(&world).unwrap().not_sent("gate.connect");
    assert_eq!(world.budget.booked(), worst(), "a call that never left costs nothing");
    let events = world.closed();
    assert_eq!((phases(&events, "intent"), phases(&events, "outcome")), (2, 2));
}

#[test]
fn output_is_clamped_to_what_is_left_and_then_refused() {
    let world = World::new();
    let held: Vec<_> = (0..3).map(|_| admit(&world).unwrap()).collect();
    let outputs: Vec<_> = held.iter().map(|ticket| ticket.reserved().output_tokens).collect();
    assert_eq!(outputs, [200, 200, 100]);
    let refused = admit(&world).unwrap_err();
    assert_eq!(refused.code(), "deny.budget.output_tokens");
    drop(held);
    let events = world.closed();
    assert_eq!(events.iter().filter(|event| event.text("decision") == "deny").count(), 1);
}

#[test]
fn a_provider_the_policy_does_not_name_is_refused() {
    let policy = Permissions { model: Models::bottom(), ..free() };
    let world = World::of(Setting { policy, ..Setting::default() });
    let refused = admit(&world).unwrap_err();
    assert!(refused.code().starts_with("deny.model"), "{refused:?}");
    assert_eq!(phases(&world.closed(), "intent"), 0);
}

#[test]
fn a_log_that_fails_denies_and_holds_nothing() {
    let world = World::new();
    world.disk.fill();
    assert_eq!(admit(&world).unwrap_err().code(), "deny.unavailable.log");
    assert_eq!(world.budget.left(), world.budget.limits());
}

#[test]
fn twelve_streams_never_hold_more_than_there_is() {
    let world = World::of(Setting {
        budget: Amount { cost_micro_usd: 40_000, input_tokens: 100_000, output_tokens: 100_000 },
        ..Setting::default()
    });
    let spent: u64 = std::thread::scope(|scope| {
        let streams: Vec<_> = (0..12)
            .map(|_| {
                let world = &world;
                scope.spawn(move || {
                    let mut spent = 0;
                    for turn in 0..10 {
                        let Ok(ticket) = admit(world) else { continue };
                        assert!(world.budget.booked().cost_micro_usd <= 40_000);
                        let used = Amount { cost_micro_usd: 100 + turn, ..Amount::ZERO };
                        ticket.settle(ModelUsage { spent: used, cached_input_tokens: 0 });
                        spent += used.cost_micro_usd;
                    }
                    spent
                })
            })
            .collect();
        streams.into_iter().map(|stream| stream.join().unwrap()).sum()
    });
    assert_eq!(world.budget.booked().cost_micro_usd, spent);
    assert_eq!(world.budget.reserved(), Amount::ZERO);
    let _ = world.closed();
}
