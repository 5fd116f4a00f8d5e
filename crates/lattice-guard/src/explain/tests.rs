use super::*;
use crate::classifier::Classifier;
use crate::command::CommandLattice;
use crate::command_pattern::CommandPattern;
use crate::host::{HostPattern, Hosts};
use crate::level::Levels;
use crate::path::Paths;
use crate::path_pattern::PathPattern;
use crate::permissions::Permissions;

fn explained(permissions: Permissions) -> Vec<Explanation> {
    let (envelope, _authority) =
        Envelope::new(permissions, Classifier::default(), GateMode::Static);
    explain(&envelope)
}

fn holders(explanations: &[Explanation], dimension: Dimension, rule: &str) -> Vec<Holder> {
    let found = explanations.iter().find(|e| e.dimension == dimension && e.rule.contains(rule));
    found.map(|explanation| explanation.holders.clone()).unwrap_or_else(|| panic!("{rule}"))
}

#[test]
fn a_block_on_a_command_is_held_by_nothing() {
    let commands = CommandLattice::from_rules(
        Some(vec![CommandPattern::program("cargo")]),
        vec![CommandPattern::program("bash")],
    );
    let explanations = explained(Permissions { commands, ..Permissions::top() });
    assert_eq!(holders(&explanations, Dimension::Commands, "block \"bash *\""), [Holder::Nothing]);
    assert_eq!(
        holders(&explanations, Dimension::Commands, "allow \"cargo *\""),
        [Holder::Decision]
    );
}

#[test]
fn a_block_on_a_path_is_held_inside_pods_too() {
    let classifier = Classifier::default();
    let pattern = |text: &str| PathPattern::parse(text).unwrap();
    let paths =
        Paths::from_rules(Some(vec![pattern("src/")]), vec![pattern("secret")], &classifier);
    let explanations = explained(Permissions { paths, ..Permissions::top() });
    assert!(
        holders(&explanations, Dimension::Paths, "block \"secret\"").contains(&Holder::PodFiles)
    );
    assert!(
        !holders(&explanations, Dimension::Paths, "allow \"src/\"").contains(&Holder::PodFiles)
    );
    assert!(holders(&explanations, Dimension::Paths, "none allowed").contains(&Holder::PodFiles));
}

#[test]
fn without_network_a_push_is_held_by_the_wall() {
    let levels = Levels::top().with(Operation::GitPush, Level::Never);
    let offline = explained(Permissions {
        levels: levels.clone(),
        network: Hosts::bottom(),
        ..Permissions::top()
    });
    assert!(holders(&offline, Dimension::Levels, "git_push").contains(&Holder::PodNetwork));
    assert_eq!(holders(&offline, Dimension::Network, "no host"), [Holder::PodNetwork]);
    let network = Hosts::only([HostPattern::parse("crates.io").unwrap()]);
    let online = explained(Permissions { levels, network, ..Permissions::top() });
    assert!(!holders(&online, Dimension::Levels, "git_push").contains(&Holder::PodNetwork));
}

#[test]
fn every_dimension_is_explained() {
    for permissions in [Permissions::top(), Permissions::bottom()] {
        let explanations = explained(permissions);
        let dimensions: std::collections::BTreeSet<_> =
            explanations.iter().map(|e| e.dimension).collect();
        for dimension in [
            Dimension::Levels,
            Dimension::Paths,
            Dimension::Model,
            Dimension::Budget,
            Dimension::Time,
            Dimension::Credentials,
            Dimension::Delegation,
            Dimension::Gate,
        ] {
            assert!(dimensions.contains(&dimension), "{dimension}");
        }
        assert!(
            explanations
                .iter()
                .all(|e| !e.holders.is_empty() && !e.rule.is_empty() && !e.note.is_empty())
        );
    }
}
