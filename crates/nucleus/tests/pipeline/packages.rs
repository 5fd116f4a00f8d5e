use lattice_guard::{Packages, Permissions, Registry};
use nucleus::{Amount, Caller, Channel, Digest, PackageFetchRequest, PackageTicket, Refusal};

use crate::support::{Setting, World, agent, free, phases};

fn fetch(world: &World, registry: Registry) -> Result<PackageTicket, Refusal> {
    let request = PackageFetchRequest {
        registry,
        package: "tiny 1.0.0".to_owned(),
        address: Digest::of(b"https://registry.example/tiny"),
        listing: false,
    };
    world.executor.package_fetch(&request, &Caller::new(Channel::PackageGate, agent()))
}

#[test]
fn a_fetch_is_recorded_before_it_leaves_and_paid_when_it_ends() {
    let world = World::new();
    let ticket = fetch(&world, Registry::Cargo).unwrap();
    assert_eq!(phases(&world.events(), "intent"), 1, "durable before anything is sent");
    ticket.settle(1_234, None);
    assert_eq!(world.budget.booked(), Amount::micro_usd(100));
    drop(fetch(&world, Registry::Npm).unwrap());
    assert_eq!(world.budget.booked(), Amount::micro_usd(200), "a lost one is paid, too");
    assert_eq!(world.budget.reserved(), Amount::ZERO);
    let events = world.closed();
    let outcome = events.iter().find(|event| event.text("phase") == "outcome").unwrap();
    assert_eq!(outcome.text("type"), "package_fetch");
    assert_eq!(outcome.text("target"), "cargo tiny 1.0.0");
    assert_eq!(outcome.number("bytes_returned"), 1_234);
    assert_eq!(phases(&events, "outcome"), 2);
}

#[test]
fn a_registry_that_is_not_named_and_one_that_cannot_be_paid_are_refused() {
    let policy = Permissions { packages: Packages::only([Registry::Npm]), ..free() };
    let budget = Amount { cost_micro_usd: 250, input_tokens: 0, output_tokens: 0 };
    let world = World::of(Setting { policy, budget, ..Setting::default() });
    assert_eq!(fetch(&world, Registry::Cargo).unwrap_err().code(), "deny.network.packages");
    let held: Vec<_> = (0..2).map(|_| fetch(&world, Registry::Npm).unwrap()).collect();
    assert_eq!(fetch(&world, Registry::Npm).unwrap_err().code(), "deny.budget.cost");
    drop(held);
    let events = world.closed();
    assert_eq!(phases(&events, "intent"), 2);
    assert_eq!(events.iter().filter(|event| event.text("decision") == "deny").count(), 2);
}

#[test]
fn a_log_that_fails_denies_and_holds_nothing() {
    let world = World::new();
    world.disk.fill();
    assert_eq!(fetch(&world, Registry::Pip).unwrap_err().code(), "deny.unavailable.log");
    assert_eq!(world.budget.left(), world.budget.limits());
}
