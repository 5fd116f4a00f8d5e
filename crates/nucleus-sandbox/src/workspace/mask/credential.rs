//! Credentials in a git configuration.

/// The text without user information in URLs and without lines that carry secrets; `None` when there was nothing to
/// take out.
pub(crate) fn scrub(config: &str) -> Option<String> {
    let mut out = String::with_capacity(config.len());
    let mut found = false;
    let mut dropping = false;
    for line in config.split_inclusive('\n') {
        let continues = line.trim_end_matches(['\r', '\n']).ends_with('\\');
        if dropping || is_secret(line) {
            // A value may go on in the next line.
            dropping = continues;
            found = true;
            continue;
        }
        let clean = without_userinfo(line);
        found |= clean != line;
        out.push_str(&clean);
    }
    found.then_some(out)
}

/// Parts of a variable's name that say that its value is a secret, wherever they stand: `smtppass`, `oauth-token`.
const SECRET_PARTS: [&str; 6] = ["cookie", "extraheader", "passphrase", "pass", "secret", "token"];
/// Whole names of such variables. `key` is no part of the list above: `signingkey` names a key and is none.
const SECRET_NAMES: [&str; 7] =
    ["accesskey", "api-key", "apikey", "authkey", "key", "privatekey", "proxyauth"];
/// What a value says when the secret is within it, as in the text of a credential helper.
const SECRET_WORDS: [&str; 4] = ["authorization:", "password=", "passwd=", "private-token:"];

/// Whether a line sets a variable whose value is, or holds, a secret.
fn is_secret(line: &str) -> bool {
    let line = line.to_ascii_lowercase();
    let setting = after_section(&line);
    let name = setting.split('=').next().unwrap_or_default().trim();
    SECRET_NAMES.contains(&name)
        || SECRET_PARTS.iter().any(|part| name.contains(part))
        || SECRET_WORDS.iter().any(|word| setting.contains(word))
}

/// What stands on a line behind the name of a section, which may hold anything in quotes.
fn after_section(line: &str) -> &str {
    let line = line.trim();
    if !line.starts_with('[') {
        return line;
    }
    let mut quoted = false;
    let mut escaped = false;
    for (at, c) in line.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => quoted = !quoted,
            ']' if !quoted => return line.get(at.saturating_add(1)..).unwrap_or_default().trim(),
            _ => {}
        }
    }
    ""
}

/// Takes `user:password@` and `token@` out of every address of a line, and what stands behind a `?`. A plain `git@host`
/// of ssh is a name, not a secret.
fn without_userinfo(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at.saturating_add(3));
        out.push_str(&without_schemeless(before));
        let end =
            after.find(['/', '"', '\'', ' ', '\t', '\n', '\r', '?', '#']).unwrap_or(after.len());
        let (authority, tail) = after.split_at(end);
        let ssh = before.ends_with("ssh://");
        match authority.rsplit_once('@') {
            Some((user, host)) if ssh && !user.contains(':') => {
                out.push_str(user);
                out.push('@');
                out.push_str(host);
            }
            Some((_, host)) => out.push_str(host),
            None => out.push_str(authority),
        }
        let end = tail.find(['"', '\'', ' ', '\t', '\n', '\r']).unwrap_or(tail.len());
        let (path, tail) = tail.split_at(end);
        out.push_str(path.split('?').next().unwrap_or_default());
        rest = tail;
    }
    out.push_str(&without_schemeless(rest));
    out
}

/// Takes `user:password@` out of words without a scheme, such as the address of a proxy. In `git@host:path`, an address
/// of ssh, nothing with a colon stands before the `@`.
fn without_schemeless(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for word in text.split_inclusive([' ', '\t', '\n', '\r', '=', '"', '\'']) {
        let authority = word.find('/').unwrap_or(word.len());
        let (authority, path) = word.split_at(authority);
        let (before, _) = authority.split_once('@').unwrap_or_default();
        match authority.rsplit_once('@') {
            Some((_, host)) if before.contains(':') => out.push_str(host),
            _ => out.push_str(authority),
        }
        out.push_str(path);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_leave_urls_and_headers() {
        let config = "[remote \"origin\"]\n\turl = https://x-access-token:ghp_SECRET@github.com/a/b.git\n\
            [url \"https://tok@host/\"]\n\tinsteadOf = x\n[http]\n\textraheader = AUTHORIZATION: basic U0VD\n\
            [core]\n\tbare = false\n";
        let clean = scrub(config).unwrap();
        for secret in ["ghp_SECRET", "tok@", "U0VD"] {
            assert!(!clean.contains(secret), "{secret} in {clean}");
        }
        assert!(clean.contains("url = https://github.com/a/b.git\n"));
        assert!(clean.contains("[url \"https://host/\"]"));
        assert!(clean.contains("bare = false"));
    }

    #[test]
    fn a_password_with_an_at_sign_leaves_whole() {
        assert_eq!(scrub("url = https://u:p@ss@h/x\n").unwrap(), "url = https://h/x\n");
    }

    #[test]
    fn secrets_go_under_whatever_name_and_without_a_scheme() {
        for line in [
            "smtppass = CANARY",
            "smtpPassword = CANARY",
            "oauth-token = CANARY",
            "oauth_token=CANARY",
            "[http] proxy = user:CANARY@host:3128",
            "proxy = \"user:C@CANARY@host/x\"",
            "proxy = user:CANARY@host",
            "url = https://host/x.git?private_token=CANARY",
            "[url \"https://host/x?access_token=CANARY\"]",
            "helper = \"!f() { echo username=u; echo password=CANARY; }; f\"",
            "clientSecret = CANARY",
            "api-key = CANARY",
            "[a \"]x=\"] token = CANARY",
        ] {
            let clean = scrub(&format!("[a]\n\t{line}\n\tb = c\n")).unwrap();
            assert!(!clean.contains("CANARY") && clean.ends_with("\tb = c\n"), "{line}: {clean}");
        }
    }

    #[test]
    fn a_plain_configuration_is_not_covered() {
        for line in [
            "url = git@github.com:a/b",
            "url = git@github.com:a/b@v",
            "url = ssh://git@h/x",
            "url = https://h/x",
            "url = h:team/x",
            "signingkey = ABCD",
            "sslKey = /home/u/key.pem",
            "sshCommand = ssh -i ~/.ssh/id",
            "email = a@b.example",
            "helper = store",
            "fetch = +refs/heads/*:refs/remotes/o/*",
            "[branch \"token\"]",
        ] {
            assert_eq!(scrub(&format!("[a]\n\t{line}\n")), None, "{line}");
        }
    }

    #[test]
    fn continued_secrets_go_whole() {
        let clean = scrub("[http]\n\textraheader = a \\\n SECRET\n\tx = y\n").unwrap();
        assert!(!clean.contains("SECRET") && clean.contains("x = y"));
    }
}
