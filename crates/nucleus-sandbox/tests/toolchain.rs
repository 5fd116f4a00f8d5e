//! Discovery against made-up homes, and against this host.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a helper of a test that fails, fails the test"
)]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use nucleus_sandbox::toolchain::{HostEnv, Toolchain, base, discover};

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn program(path: &Path) {
    write(path, "#!/bin/sh\n");
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// A home with rustup, cargo with secrets, pyenv, nvm's node and Go's cache.
fn home() -> (tempfile::TempDir, PathBuf, HostEnv) {
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().canonicalize().unwrap().join("home");
    let triple = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    for channel in ["stable", "1.70.0"] {
        program(&home.join(format!(".rustup/toolchains/{channel}-{triple}/bin/cargo")));
    }
    write(
        &home.join(".rustup/settings.toml"),
        &format!("default_toolchain = \"stable-{triple}\"\n"),
    );
    program(&home.join(".cargo/bin/rustup"));
    symlink("rustup", home.join(".cargo/bin/cargo")).unwrap();
    write(&home.join(".cargo/credentials.toml"), "token = \"SECRET\"");
    for kind in ["index", "cache", "src"] {
        fs::create_dir_all(
            home.join(format!(".cargo/registry/{kind}/index.crates.io-1949cf8c6b5b557f")),
        )
        .unwrap();
        fs::create_dir_all(home.join(format!(".cargo/registry/{kind}/registry.corp.example-0123")))
            .unwrap();
    }
    for (name, url) in
        [("pub-1", "https://github.com/a/pub"), ("priv-2", "ssh://git@github.com/a/priv")]
    {
        write(
            &home.join(format!(".cargo/git/db/{name}/FETCH_HEAD")),
            &format!("abc\t\tof {url}\n"),
        );
        fs::create_dir_all(home.join(format!(".cargo/git/checkouts/{name}"))).unwrap();
    }
    for version in ["3.9.1", "3.12.1", "3.12.10"] {
        program(&home.join(format!(".pyenv/versions/{version}/bin/python3")));
        fs::create_dir_all(home.join(format!(".pyenv/versions/{version}/lib/python3.12"))).unwrap();
    }
    write(&home.join(".pyenv/version"), "3.9.1\n");
    program(&home.join(".pyenv/shims/python3"));
    program(&home.join(".nvm/versions/node/v20/bin/node"));
    write(&home.join(".nvm/versions/node/v20/etc/npmrc"), "//registry/:_authToken=SECRET");
    fs::create_dir_all(home.join(".npm/_cacache")).unwrap();
    write(&home.join(".npmrc"), "//registry/:_authToken=SECRET");
    program(&home.join("sdk/go/bin/go"));
    for name in ["cache/download", "cache/vcs", "github.com", "corp.example"] {
        fs::create_dir_all(home.join("go/pkg/mod").join(name)).unwrap();
    }
    let workspace = home.join("project");
    fs::create_dir(&workspace).unwrap();
    let path = [".cargo/bin", ".pyenv/shims", ".nvm/versions/node/v20/bin", "sdk/go/bin"];
    let path: Vec<String> = path.iter().map(|p| home.join(p).display().to_string()).collect();
    let vars = BTreeMap::from([
        ("HOME".to_owned(), home.display().to_string()),
        ("PATH".to_owned(), format!("{}:/usr/bin:/bin", path.join(":"))),
        ("GOPRIVATE".to_owned(), "corp.example/secret".to_owned()),
    ]);
    (dir, home.clone(), HostEnv { vars, workspace })
}

fn named<'t>(all: &'t [Toolchain], name: &str) -> &'t Toolchain {
    all.iter().find(|t| t.name == name).unwrap_or_else(|| panic!("no {name} in {all:?}"))
}

fn env<'t>(tool: &'t Toolchain, name: &str) -> Option<&'t str> {
    tool.env.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
}

#[test]
fn rust_is_the_active_toolchain_and_the_public_registry() {
    let (_dir, home, env_of) = home();
    let all = discover(&env_of);
    let rust = named(&all, "rust");
    assert!(rust.detail.starts_with("stable-"));
    assert_eq!(rust.path, ["/opt/toolchain/rust/bin", "/opt/toolchain/cargo-bin"]);
    assert!(rust.binds[0].host.ends_with(format!(".rustup/toolchains/{}", rust.detail)));
    assert_eq!(env(rust, "CARGO_HOME"), Some("/opt/nucleus/cache/cargo"));
    assert_eq!(env(rust, "CARGO_NET_OFFLINE"), Some("true"));
    let lowers: Vec<&str> = rust.overlays[0].lowers.iter().map(|(_, rel)| rel.as_str()).collect();
    assert_eq!(
        lowers,
        [
            "registry/index/index.crates.io-1949cf8c6b5b557f",
            "registry/cache/index.crates.io-1949cf8c6b5b557f",
            "registry/src/index.crates.io-1949cf8c6b5b557f",
            "git/db/pub-1",
            "git/checkouts/pub-1",
        ]
    );
    assert!(rust.forbidden.contains(&home.join(".cargo/credentials.toml").display().to_string()));
}

#[test]
fn the_workspace_chooses_among_installed_versions_only() {
    let (_dir, home, env_of) = home();
    let file = env_of.workspace.join("rust-toolchain.toml");
    write(&file, "[toolchain]\nchannel = \"1.70.0\"\n");
    assert!(named(&discover(&env_of), "rust").detail.starts_with("1.70.0-"));
    write(&file, "[toolchain]\nchannel = \"1.0.0\"\n");
    assert!(
        named(&discover(&env_of), "rust").detail.starts_with("stable-"),
        "not installed: the default"
    );
    // What an agent writes there must not name a directory of the host.
    write(&file, &format!("[toolchain]\npath = \"{}\"\n", home.display()));
    assert!(named(&discover(&env_of), "rust").detail.starts_with("stable-"));
    write(&file, "[toolchain]\nchannel = \"../../../etc\"\n");
    assert!(named(&discover(&env_of), "rust").detail.starts_with("stable-"));

    let python = |text: &str| {
        write(&env_of.workspace.join(".python-version"), text);
        named(&discover(&env_of), "python").detail.clone()
    };
    assert!(python("3.12\n").contains("/3.12.10/"), "the newest of the series, by number");
    assert!(python("3.12.1\n").contains("/3.12.1/"));
    assert!(python("../../..\n").contains("/3.9.1/"));
}

#[test]
fn a_program_in_the_workspace_chooses_nothing() {
    let (_dir, _, mut env_of) = home();
    program(&env_of.workspace.join("bin/node"));
    let path = format!("{}:{}", env_of.workspace.join("bin").display(), env_of.vars["PATH"]);
    env_of.vars.insert("PATH".to_owned(), path);
    assert!(named(&discover(&env_of), "node").detail.contains(".nvm"));
}

#[test]
fn no_bind_or_lower_shows_a_secret() {
    let (_dir, home, env_of) = home();
    let all = discover(&env_of);
    for name in ["rust", "node", "go", "python"] {
        named(&all, name);
    }
    let shown: Vec<PathBuf> = all
        .iter()
        .flat_map(|t| {
            let lowers =
                t.overlays.iter().flat_map(|o| o.lowers.iter().map(|(host, _)| host.clone()));
            t.binds.iter().map(|b| b.host.clone()).chain(lowers).collect::<Vec<_>>()
        })
        .chain(base().binds.into_iter().map(|b| b.host))
        .collect();
    let secrets = [
        ".cargo/credentials.toml",
        ".npmrc",
        ".nvm/versions/node/v20/etc/npmrc",
        ".cargo/git/db/priv-2/FETCH_HEAD",
        ".cargo/registry/src/registry.corp.example-0123",
        "go/pkg/mod/corp.example",
        "go/pkg/mod/cache/vcs",
        "project",
    ];
    for secret in secrets {
        let path = home.join(secret);
        assert!(path.exists(), "{secret}");
        let by = shown.iter().find(|s| path.starts_with(s));
        assert!(by.is_none(), "{secret} is shown by {by:?}");
    }
    // Positive control: the leaves beside them are shown.
    for leaf in [
        ".npm/_cacache",
        "go/pkg/mod/github.com",
        "go/pkg/mod/cache/download",
        ".nvm/versions/node/v20/bin",
    ] {
        assert!(shown.iter().any(|s| home.join(leaf).starts_with(s)), "{leaf}");
    }
}

#[test]
fn the_base_system_is_real_and_narrow() {
    let base = base();
    for bind in &base.binds {
        assert_eq!(fs::canonicalize(&bind.host).unwrap(), bind.host, "no link in a host path");
        assert_eq!(bind.host.is_dir(), bind.directory);
        for never in [
            "/etc/shadow",
            "/etc/gitconfig",
            "/root",
            "/var",
            "/home",
            "/usr/local/etc",
            "/etc/ssl/private",
        ] {
            assert!(!Path::new(never).starts_with(&bind.inside), "{never} by {bind:?}");
        }
    }
    assert!(base.binds.iter().any(|b| b.inside == Path::new("/usr/bin")), "positive control");
}

#[test]
fn this_hosts_own_toolchain_is_found() {
    let vars: BTreeMap<String, String> = std::env::vars().collect();
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).to_owned();
    let all = discover(&HostEnv { vars, workspace });
    let rust = named(&all, "rust");
    let cargo =
        rust.binds.iter().find(|b| b.inside.ends_with("rust")).map(|b| b.host.join("bin/cargo"));
    if let Some(cargo) = cargo {
        // Runs without rustup's home: the proxy would not.
        let out = std::process::Command::new(cargo)
            .env_clear()
            .env("HOME", "/tmp") // an account without an entry in the password file has none
            .arg("--version")
            .output()
            .unwrap();
        assert!(
            out.status.success() && String::from_utf8_lossy(&out.stdout).starts_with("cargo 1.")
        );
    }
}
