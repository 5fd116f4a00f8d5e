//! Modules of Go: the protocol of its module mirrors, and the checksum database by which its client finds out whether one
//! lies.
//!
//! Of a module the version is a word, too, so a version leaves only if something that the registry sent names it: the
//! list, its latest version, or a `go.mod` that was fetched. Pseudo-versions are in no list; one that nothing names (of
//! the workspace's own `go.mod`, say) is spent like a name that does not exist, whether it exists or not.

mod file;
mod known;
mod name;
mod path;
mod tile;

use bytes::Bytes;
use hyper::{Method, Response};
use lattice_guard::Registry;

use super::answer::{self, PackageBody};
use super::ledger::PackageFetch;
use super::refusal::PackageRefusal;
use super::source::{SUMS, Sources};
use super::{Asking, Visit};

pub(super) use known::Known;
pub(super) use name::{escaped, module};
pub(super) use path::{Kind, Part, Sums, route};

/// What the client reads as text.
const TEXT: &str = "text/plain; charset=utf-8";

/// Why a version may be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// Something that the registry sent names it.
    Named,
    /// A word was spent for it.
    Spent,
}

impl Visit {
    /// Something of a module.
    pub(super) async fn module(
        &self,
        sources: &Sources,
        module: &str,
        part: &Part,
        method: &Method,
    ) -> Result<Response<PackageBody>, PackageRefusal> {
        match part {
            Part::List => {
                let versions = self.versions(sources, module).await?;
                let lines: String = versions.iter().map(|version| format!("{version}\n")).collect();
                Ok(answer::whole(TEXT, lines.into()))
            }
            Part::Latest => self.latest(sources, module).await,
            Part::File(version, kind) => {
                self.file_of_module(sources, module, version, *kind, method).await
            }
        }
    }

    /// The versions that the registry lists.
    async fn versions(
        &self,
        sources: &Sources,
        module: &str,
    ) -> Result<Vec<String>, PackageRefusal> {
        if name::holds_no_module(module) {
            return Err(PackageRefusal::NotFound);
        }
        let place = sources.listing(module);
        let fetch = PackageFetch::listing(Registry::Go, module, place.url());
        let known = &self.gate.go;
        let asking = Asking { fetch, place, accept: "*/*", counts: !known.is_there(module) };
        let versions = file::listed(&self.whole(sources, asking).await?)?;
        known.found(module);
        known.name(module, versions.iter().cloned());
        Ok(versions)
    }

    /// The version that the registry takes for the latest; of a module without releases it is in no list.
    async fn latest(
        &self,
        sources: &Sources,
        module: &str,
    ) -> Result<Response<PackageBody>, PackageRefusal> {
        if name::holds_no_module(module) {
            return Err(PackageRefusal::NotFound);
        }
        let place = sources.at_index(&format!("{}/@latest", escaped(module)));
        let fetch = PackageFetch::listing(Registry::Go, &format!("{module} latest"), place.url());
        let known = &self.gate.go;
        let asking = Asking { fetch, place, accept: "*/*", counts: !known.is_there(module) };
        let (version, shown) = file::info(&self.whole(sources, asking).await?)?;
        known.found(module);
        known.name(module, [version]);
        Ok(answer::json(&shown))
    }

    async fn file_of_module(
        &self,
        sources: &Sources,
        module: &str,
        version: &str,
        kind: Kind,
        method: &Method,
    ) -> Result<Response<PackageBody>, PackageRefusal> {
        let counts = self.stands(sources, module, version).await? == Standing::Named;
        let ending = kind.ending();
        let beside = format!("{}/@v/{}.{ending}", escaped(module), escaped(version));
        let place = sources.at_index(&beside);
        if kind == Kind::Zip {
            let fetch = PackageFetch::file(Registry::Go, module, version, place.url());
            let asking = Asking { fetch, place, accept: "*/*", counts };
            return self.pass(sources, asking, method).await;
        }
        let shown = format!("{module} {version}.{ending}");
        let fetch = PackageFetch::listing(Registry::Go, &shown, place.url());
        let bytes = self.whole(sources, Asking { fetch, place, accept: "*/*", counts }).await?;
        self.gate.go.found(module);
        if kind == Kind::Mod {
            for (module, version) in file::required(&bytes) {
                self.gate.go.name(&module, [version]);
            }
            return Ok(answer::whole(TEXT, bytes));
        }
        match file::info(&bytes)? {
            (said, shown) if said == version => Ok(answer::json(&shown)),
            _ => Err(PackageRefusal::Listing),
        }
    }

    /// Whether a version may leave.
    async fn stands(
        &self,
        sources: &Sources,
        module: &str,
        version: &str,
    ) -> Result<Standing, PackageRefusal> {
        if self.gate.go.names(module, version) {
            return Ok(Standing::Named);
        }
        if !name::is_pseudo(version) {
            let listed = self.versions(sources, module).await?;
            let is_listed = listed.iter().any(|listed| listed == version);
            return is_listed.then_some(Standing::Named).ok_or(PackageRefusal::NotListed);
        }
        drop(self.gate.words.take(&format!("{module}@{version}")).await?);
        self.gate.go.name(module, [version.to_owned()]);
        Ok(Standing::Spent)
    }

    /// Something of the checksum database. What it says is signed, and the client verifies it; here it is only held that
    /// a pod asks for nothing that is not there.
    pub(super) async fn sums(
        &self,
        sources: &Sources,
        sums: &Sums,
    ) -> Result<Response<PackageBody>, PackageRefusal> {
        match sums {
            Sums::Supported => {
                if sources.needs_sums() && !self.gate.go.has_sums() {
                    let asked = self.of_sums(sources, "supported", "supported").await;
                    asked.map_err(|refusal| match refusal {
                        PackageRefusal::NotFound => PackageRefusal::Sums,
                        other => other,
                    })?;
                    self.gate.go.found_sums();
                }
                Ok(answer::whole(TEXT, Bytes::new()))
            }
            Sums::Latest => Ok(answer::whole(TEXT, self.tree(sources).await?)),
            Sums::Lookup { module, version } => {
                self.stands(sources, module, version).await?;
                let path = format!("lookup/{}@{}", escaped(module), escaped(version));
                let bytes = self.of_sums(sources, &path, &format!("{module}@{version}")).await?;
                self.gate.go.saw_tree(&bytes);
                Ok(answer::whole(TEXT, bytes))
            }
            Sums::Tile(tile) => {
                if !tile.is_in(self.gate.go.tree()) {
                    // The client remembers trees of earlier tasks.
                    self.tree(sources).await?;
                }
                if !tile.is_in(self.gate.go.tree()) {
                    return Err(PackageRefusal::NotListed);
                }
                let path = tile.path();
                let bytes = self.of_sums(sources, &path, &path).await?;
                Ok(answer::whole("application/octet-stream", bytes))
            }
        }
    }

    /// The newest tree that the database signed.
    async fn tree(&self, sources: &Sources) -> Result<Bytes, PackageRefusal> {
        let bytes = self.of_sums(sources, "latest", "latest").await?;
        self.gate.go.saw_tree(&bytes);
        Ok(bytes)
    }

    async fn of_sums(
        &self,
        sources: &Sources,
        path: &str,
        shown: &str,
    ) -> Result<Bytes, PackageRefusal> {
        let place = sources.sums(path);
        let fetch = PackageFetch::listing(Registry::Go, &format!("{SUMS} {shown}"), place.url());
        // Every word of it is one that stands: a version, or a number beneath a signed one.
        self.whole(sources, Asking { fetch, place, accept: "*/*", counts: false }).await
    }
}
