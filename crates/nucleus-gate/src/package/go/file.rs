//! What mirrors of modules and the checksum database send, as far as something rests on it.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::refusal::PackageRefusal;
use super::name;

/// Longest time of a version, in bytes.
const TIME_BYTES: usize = 40;

/// Version and time; what more a mirror says is not passed on.
#[derive(Deserialize)]
struct Info {
    #[serde(rename = "Version")]
    version: String,
    #[serde(rename = "Time")]
    time: Option<String>,
}

/// The versions of a list. A line that begins with none is left out, and so is what follows one.
pub(super) fn listed(bytes: &Bytes) -> Result<Vec<String>, PackageRefusal> {
    let text = std::str::from_utf8(bytes).map_err(|_| PackageRefusal::Listing)?;
    let versions = text.lines().filter_map(|line| line.split_ascii_whitespace().next());
    Ok(versions.filter(|version| name::is_version(version)).map(str::to_owned).collect())
}

/// The version that an answer is about, and the answer for the client.
pub(super) fn info(bytes: &Bytes) -> Result<(String, Value), PackageRefusal> {
    let Info { version, time } =
        serde_json::from_slice(bytes).map_err(|_| PackageRefusal::Listing)?;
    if !name::is_version(&version) {
        return Err(PackageRefusal::Listing);
    }
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-:.+".contains(&byte);
    let time = time.filter(|time| time.len() <= TIME_BYTES && time.bytes().all(plain));
    let mut shown = json!({"Version": version});
    if let (Some(time), Some(members)) = (time, shown.as_object_mut()) {
        members.insert("Time".to_owned(), time.into());
    }
    Ok((version, shown))
}

/// Modules and versions that a `go.mod` requires. What cannot be read is the client's affair.
pub(super) fn required(bytes: &Bytes) -> Vec<(String, String)> {
    let text = String::from_utf8_lossy(bytes);
    let mut found = Vec::new();
    let mut in_block = false;
    for line in text.lines() {
        let line = line.split("//").next().unwrap_or_default().trim();
        if in_block {
            in_block = line != ")";
            found.extend(requirement(line));
            continue;
        }
        let Some(rest) = line.strip_prefix("require") else { continue };
        match rest.trim_start() {
            "(" => in_block = true,
            single if rest.starts_with([' ', '\t']) => found.extend(requirement(single)),
            _ => {}
        }
    }
    found
}

fn requirement(line: &str) -> Option<(String, String)> {
    let mut words = line.split_ascii_whitespace().map(|word| word.trim_matches(['"', '`']));
    let (module, version) = (words.next()?, words.next()?);
    let module = name::module(&name::escaped(module))?;
    name::is_version(version).then(|| (module, version.to_owned()))
}

/// Entries of the tree that an answer of the checksum database is signed for.
pub(super) fn tree_size(answer: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(answer).ok()?;
    let mut lines = text.lines().skip_while(|line| *line != "go.sum database tree");
    lines.nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_hold_versions_and_nothing_else() {
        let list = "v1.0.0\nv1.1.0 2020-01-01T00:00:00Z\nmaster\n<html>\n\nv0.0.0-20200101000000-abcdefabcdef\n";
        let read = listed(&Bytes::from_static(list.as_bytes())).unwrap();
        assert_eq!(read, ["v1.0.0", "v1.1.0", "v0.0.0-20200101000000-abcdefabcdef"]);
        assert!(listed(&Bytes::from_static(b"\xff")).is_err());
    }

    #[test]
    fn what_else_a_mirror_says_of_a_version_is_not_passed_on() {
        let read = |text: &str| info(&Bytes::from(text.to_owned()));
        let (version, shown) = read(
            r#"{"Version":"v1.0.0","Time":"2020-01-01T00:00:00Z","Origin":{"URL":"https://evil.example"}}"#,
        )
        .unwrap();
        assert_eq!(version, "v1.0.0");
        assert_eq!(shown, json!({"Version": "v1.0.0", "Time": "2020-01-01T00:00:00Z"}));
        assert_eq!(
            read(r#"{"Version":"v1.0.0","Time":"<b>"}"#).unwrap().1,
            json!({"Version": "v1.0.0"})
        );
        for bad in ["", "{}", "[]", r#"{"Version":"master"}"#, r#"{"Version":1}"#] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn requirements_are_read_in_every_form() {
        let text = "module example.org/m // require example.org/no v1.0.0\n\ngo 1.21\n\nrequire rsc.io/quote v1.5.2 // indirect\n\
                    require (\n\tgithub.com/Azure/x v0.0.0-20200101000000-abcdefabcdef // indirect\n\t\"gopkg.in/yaml.v3\" v3.0.1\n\
                    \texample.org/branch master\n\tlocal v1.0.0\n)\nrequire(\n\texample.org/tight v1.0.0\n)\n\
                    replace (\n\texample.org/replaced v1.0.0 => example.org/other v1.0.0\n)\nretract v0.1.0\nrequirement x v1.0.0\n";
        let found = required(&Bytes::from_static(text.as_bytes()));
        let found: Vec<String> = found.iter().map(|(m, v)| format!("{m}@{v}")).collect();
        assert_eq!(
            found,
            [
                "rsc.io/quote@v1.5.2",
                "github.com/Azure/x@v0.0.0-20200101000000-abcdefabcdef",
                "gopkg.in/yaml.v3@v3.0.1",
                "example.org/tight@v1.0.0",
            ]
        );
        assert!(required(&Bytes::from_static(b"\xff\nrequire")).is_empty());
    }

    #[test]
    fn the_size_of_a_signed_tree_is_found() {
        let lookup = b"7\nrsc.io/quote v1.5.2 h1:x=\nrsc.io/quote v1.5.2/go.mod h1:y=\n\ngo.sum database tree\n32\nroot=\n\n\xe2\x80\x94 sum.golang.org sig=\n";
        assert_eq!(tree_size(lookup), Some(32));
        assert_eq!(tree_size(b"go.sum database tree\n7\nroot=\n"), Some(7));
        for bad in [b"go.sum database tree".as_slice(), b"go.sum database tree\n-1\n", b"\xff"] {
            assert_eq!(tree_size(bad), None);
        }
    }
}
