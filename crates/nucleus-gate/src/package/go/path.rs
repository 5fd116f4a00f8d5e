//! The paths of a module mirror.

use lattice_guard::Registry;

use super::super::refusal::PackageRefusal;
use super::super::route::{Asked, Route};
use super::super::source::SUMS;
use super::name;
use super::tile::Tile;

/// What of a module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::package) enum Part {
    /// Its versions.
    List,
    /// The one that counts as latest.
    Latest,
    /// A file of one version.
    File(String, Kind),
}

/// Which file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::package) enum Kind {
    /// Version and time.
    Info,
    /// Its `go.mod`.
    Mod,
    /// Its files.
    Zip,
}

/// What of the checksum database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::package) enum Sums {
    /// Whether it is served.
    Supported,
    /// The newest tree.
    Latest,
    /// The sums of a version.
    Lookup { module: String, version: String },
    /// Hashes of the tree.
    Tile(Tile),
}

impl Kind {
    const ALL: [Self; 3] = [Self::Info, Self::Mod, Self::Zip];

    pub(super) fn ending(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Mod => "mod",
            Self::Zip => "zip",
        }
    }
}

/// Reads a path beneath the mirror.
pub(in crate::package) fn route(path: &str) -> Result<Route, PackageRefusal> {
    let registry = Registry::Go;
    if let Some(rest) = path.strip_prefix("sumdb/") {
        let rest = rest.strip_prefix(SUMS).and_then(|rest| rest.strip_prefix('/'));
        let asked = Asked::Sums(sums(rest.ok_or(PackageRefusal::Path)?)?);
        return Ok(Route { registry, name: String::new(), asked });
    }
    let (module, rest) = path.rsplit_once("/@").ok_or(PackageRefusal::Path)?;
    let part = match rest.strip_prefix("v/") {
        None if rest == "latest" => Part::Latest,
        Some("list") => Part::List,
        Some(file) => file_of(file)?,
        None => return Err(PackageRefusal::Path),
    };
    Ok(Route { registry, name: of_module(module)?, asked: Asked::Module(part) })
}

fn of_module(text: &str) -> Result<String, PackageRefusal> {
    let module = name::module(text).ok_or(PackageRefusal::Name)?;
    if module == name::TOOLCHAIN { Err(PackageRefusal::Toolchain) } else { Ok(module) }
}

fn file_of(file: &str) -> Result<Part, PackageRefusal> {
    let (version, ending) = file.rsplit_once('.').ok_or(PackageRefusal::Path)?;
    let kind = Kind::ALL.into_iter().find(|kind| kind.ending() == ending);
    let kind = kind.ok_or(PackageRefusal::Path)?;
    let version = name::version(version).ok_or(PackageRefusal::Version)?;
    Ok(Part::File(version, kind))
}

fn sums(path: &str) -> Result<Sums, PackageRefusal> {
    if let Some(asked) = path.strip_prefix("lookup/") {
        let (module, version) = asked.rsplit_once('@').ok_or(PackageRefusal::Path)?;
        let version = name::version(version).ok_or(PackageRefusal::Version)?;
        return Ok(Sums::Lookup { module: of_module(module)?, version });
    }
    match path {
        "supported" => Ok(Sums::Supported),
        "latest" => Ok(Sums::Latest),
        _ => Tile::parse(path).map(Sums::Tile).ok_or(PackageRefusal::Path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(path: &str) -> Result<(String, Asked), PackageRefusal> {
        route(path).map(|route| (route.name, route.asked))
    }

    #[test]
    fn the_paths_of_the_client_are_read() {
        let file = |version: &str, kind| Part::File(version.to_owned(), kind);
        for (path, module, part) in [
            ("rsc.io/quote/@v/list", "rsc.io/quote", Part::List),
            ("github.com/!azure/x/@latest", "github.com/Azure/x", Part::Latest),
            ("rsc.io/quote/@v/v1.5.2.info", "rsc.io/quote", file("v1.5.2", Kind::Info)),
            ("rsc.io/quote/v3/@v/v3.1.0.mod", "rsc.io/quote/v3", file("v3.1.0", Kind::Mod)),
            (
                "golang.org/x/text/@v/v0.0.0-20170915032832-14c0d48ead0c.zip",
                "golang.org/x/text",
                file("v0.0.0-20170915032832-14c0d48ead0c", Kind::Zip),
            ),
            (
                "example.org/x/@v/v2.0.0-!r!c1+incompatible.zip",
                "example.org/x",
                file("v2.0.0-RC1+incompatible", Kind::Zip),
            ),
        ] {
            assert_eq!(asked(path).unwrap(), (module.to_owned(), Asked::Module(part)), "{path}");
        }
        let lookup =
            Sums::Lookup { module: "github.com/Azure/x".to_owned(), version: "v1.0.0".to_owned() };
        for (path, sums) in [
            ("sumdb/sum.golang.org/supported", Sums::Supported),
            ("sumdb/sum.golang.org/latest", Sums::Latest),
            ("sumdb/sum.golang.org/lookup/github.com/!azure/x@v1.0.0", lookup),
        ] {
            assert_eq!(asked(path).unwrap(), (String::new(), Asked::Sums(sums)), "{path}");
        }
        assert!(asked("sumdb/sum.golang.org/tile/8/0/x001/234.p/5").is_ok());
    }

    #[test]
    fn nothing_else_is_served_and_the_refusal_says_why() {
        use PackageRefusal::{Name, Path, Toolchain, Version};
        for (path, why) in [
            ("", Path),
            ("rsc.io/quote", Path),
            ("rsc.io/quote/@v/", Path),
            ("rsc.io/quote/@v", Path),
            ("rsc.io/quote/@v/v1.0.0", Path),
            ("rsc.io/quote/@v/v1.0.0.ziphash", Path),
            ("rsc.io/quote/@v/v1.0.0.lock", Path),
            ("rsc.io/quote/@v/v1.0.0/x.zip", Version),
            ("rsc.io/quote/@latest/x", Path),
            ("rsc.io/quote/@secret", Path),
            ("rsc.io/quote/@v/master.info", Version),
            ("rsc.io/quote/@v/abcdefabcdef.info", Version),
            ("rsc.io/quote/@v/v1.info", Version),
            ("rsc.io/quote/@v/.info", Version),
            ("rsc.io/Quote/@v/list", Name),
            ("secret/@v/list", Name),
            ("rsc.io/../quote/@v/list", Name),
            ("@v/list", Path),
            ("/@v/list", Name),
            ("golang.org/toolchain/@v/v0.0.1-go1.24.0.linux-amd64.zip", Toolchain),
            ("golang.org/toolchain/@v/list", Toolchain),
            ("sumdb/", Path),
            ("sumdb/sum.golang.org", Path),
            ("sumdb/sum.golang.org/", Path),
            ("sumdb/sum.golang.org.evil.example/supported", Path),
            ("sumdb/evil.example/supported", Path),
            ("sumdb/sum.golang.org/lookup/rsc.io/quote", Path),
            ("sumdb/sum.golang.org/lookup/rsc.io/quote@secret", Version),
            ("sumdb/sum.golang.org/lookup/secret@v1.0.0", Name),
            ("sumdb/sum.golang.org/lookup/golang.org/toolchain@v0.0.1-go1.24.0", Toolchain),
            ("sumdb/sum.golang.org/tile/8/data/000", Path),
        ] {
            assert_eq!(asked(path).unwrap_err(), why, "{path}");
        }
    }
}
