//! Package registries in tool pods: the listener, how clients find it, and the ledger of what is fetched.

use std::collections::BTreeMap;
use std::sync::Arc;

use lattice_guard::{Packages, Registry};
use nucleus::{
    Caller, Channel, Digest, Executor, Feed, PackageFetchRequest, PackageTicket, Principal,
    TurnedAway,
};
use nucleus_gate::{
    Denial, FetchTicket, PackageFetch, PackageGate, PackageGateConfig, PackageLedger,
    PackageRefusal, ProxyRules, Roots,
};
use nucleus_sandbox::ToolGate;
use nucleus_wire::control::{Failure, FailureClass, PackageSources};

use crate::task::Task;

/// Port of the pods' loopback where the gate is: outside of what programs are given by chance, and of what they use by
/// habit.
const PORT: u16 = 61_080;
/// Where every cargo looks last for its settings, whatever its home and working directory.
const CARGO_SETTINGS: &str = "/.cargo/config.toml";

/// What tool pods get for these registries; nothing for none.
pub(crate) fn tool_gate(packages: &Packages) -> Option<ToolGate> {
    if packages.is_bottom() {
        return None;
    }
    let cargo = packages.permits(Registry::Cargo).then(|| {
        let text = format!(
            "# Crates come through the gate of this sandbox.\n[source.crates-io]\nreplace-with = \"nucleus\"\n\n\
             [source.nucleus]\nregistry = \"sparse+http://127.0.0.1:{PORT}/cargo/\"\n"
        );
        (CARGO_SETTINGS.to_owned(), text)
    });
    Some(ToolGate { port: PORT, files: cargo.into_iter().collect() })
}

/// Changes an environment that is made for working offline.
pub(crate) fn lead(env: &mut BTreeMap<String, String>, packages: &Packages) {
    let at = |path: &str| format!("http://127.0.0.1:{PORT}/{path}");
    for registry in packages.iter() {
        let (offline, settings): (&str, Vec<(&str, String)>) = match registry {
            Registry::Npm => ("npm_config_offline", vec![("npm_config_registry", at("npm/"))]),
            Registry::Pip => (
                "PIP_NO_INDEX",
                vec![("PIP_INDEX_URL", at("pip/simple/")), ("UV_DEFAULT_INDEX", at("pip/simple/"))],
            ),
            // Some distributions' Go does not ask the checksum database unless told to.
            Registry::Go => {
                ("GOPROXY", vec![("GOPROXY", at("go")), ("GOSUMDB", "sum.golang.org".to_owned())])
            }
            _ => ("CARGO_NET_OFFLINE", Vec::new()),
        };
        env.remove(offline);
        env.extend(settings.into_iter().map(|(name, value)| (name.to_owned(), value)));
    }
}

/// What the user is told.
pub(crate) fn note(packages: &Packages) -> Option<String> {
    let names: Vec<&str> = packages.iter().map(Registry::name).collect();
    (!names.is_empty()).then(|| {
        format!(
            "commands can fetch packages of {}, and nothing else of the network",
            names.join(", ")
        )
    })
}

/// Serves the gate where pods expect it.
///
/// # Errors
/// A mirror, the proxy or the roots are not usable.
pub(crate) fn serve(task: &mut Task, principal: &Principal) -> Result<(), Failure> {
    let Some(listener) = task.session.handles.gate.take() else { return Ok(()) };
    let feed = Arc::clone(&task.control) as Arc<dyn Feed>;
    let ledger = Ledger {
        executor: task.executor.clone(),
        caller: Caller::new(Channel::PackageGate, principal.clone()),
    };
    let packages = task.executor.envelope().permissions().packages.clone();
    let gate = gate(&packages, &task.spec.packages, Arc::new(ledger))?;
    task.egress.serve_packages(gate, listener, feed);
    Ok(())
}

fn gate(
    packages: &Packages,
    from: &PackageSources,
    ledger: Arc<dyn PackageLedger>,
) -> Result<Arc<PackageGate>, Failure> {
    let usage = |error: &dyn std::fmt::Display| Failure {
        class: FailureClass::Usage,
        message: format!("package registries: {error}"),
        hint: Some(
            "see HTTPS_PROXY, SSL_CERT_FILE, and [network.registries] of the configuration"
                .to_owned(),
        ),
    };
    let registries: BTreeMap<Registry, Option<String>> =
        packages.iter().map(|registry| (registry, from.mirrors.get(&registry).cloned())).collect();
    let extra = from.extra_roots.as_ref().map(std::fs::read).transpose().map_err(|e| usage(&e))?;
    let roots = Roots::load(extra.as_deref()).map_err(|error| usage(&error))?;
    let proxy = ProxyRules::parse(from.https_proxy.as_deref(), from.no_proxy.as_deref())
        .map_err(|error| usage(&error))?;
    PackageGate::new(PackageGateConfig::new(registries, proxy, roots), ledger)
        .map_err(|error| usage(&error))
}

/// Fetches walk the rooms like any effect.
struct Ledger {
    executor: Executor,
    caller: Caller,
}

impl PackageLedger for Ledger {
    fn admit(&self, fetch: &PackageFetch) -> Result<Box<dyn FetchTicket>, Denial> {
        let request = PackageFetchRequest {
            registry: fetch.registry,
            package: fetch.package.clone(),
            address: Digest::of(fetch.address.as_bytes()),
            listing: fetch.listing,
        };
        match self.executor.package_fetch(&request, &self.caller) {
            Ok(ticket) => Ok(Box::new(Ticket(ticket))),
            Err(refusal) => {
                Err(Denial { code: refusal.code().to_owned(), text: refusal.text().to_owned() })
            }
        }
    }

    fn refused(&self, refusal: &PackageRefusal, request: &str) {
        self.executor.sandbox().turned_away(&TurnedAway {
            kind: "gate_refusal",
            tool: "packages",
            target: request,
            rule: refusal.code(),
            layer: "gate",
        });
    }
}

struct Ticket(PackageTicket);

impl FetchTicket for Ticket {
    fn settle(self: Box<Self>, bytes: u64, fault: Option<&'static str>) {
        self.0.settle(bytes, fault);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_of_named_registries_are_led_to_the_gate_and_no_others() {
        let offline = || -> BTreeMap<String, String> {
            [
                ("CARGO_NET_OFFLINE", "true"),
                ("npm_config_offline", "true"),
                ("PIP_NO_INDEX", "1"),
                ("GOPROXY", "off"),
                ("GOTOOLCHAIN", "local"),
            ]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into()
        };
        let mut none = offline();
        lead(&mut none, &Packages::bottom());
        assert_eq!(none, offline());
        assert!(tool_gate(&Packages::bottom()).is_none() && note(&Packages::bottom()).is_none());

        let mut npm = offline();
        lead(&mut npm, &Packages::only([Registry::Npm]));
        assert!(!npm.contains_key("npm_config_offline"));
        assert_eq!(npm.get("npm_config_registry").unwrap(), "http://127.0.0.1:61080/npm/");
        assert!(npm.contains_key("CARGO_NET_OFFLINE") && npm.contains_key("PIP_NO_INDEX"));
        assert_eq!(npm.get("GOPROXY").unwrap(), "off");

        let mut go = offline();
        lead(&mut go, &Packages::only([Registry::Go]));
        assert_eq!(go.get("GOPROXY").unwrap(), "http://127.0.0.1:61080/go");
        assert_eq!(go.get("GOSUMDB").unwrap(), "sum.golang.org");
        assert_eq!(go.get("GOTOOLCHAIN").unwrap(), "local");
        assert!(tool_gate(&Packages::only([Registry::Npm])).unwrap().files.is_empty());
    }
}
