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

/// Variables whose value is a secret by itself.
fn is_secret(line: &str) -> bool {
    let key = line.split('=').next().unwrap_or_default().trim().to_ascii_lowercase();
    let key = key.rsplit(']').next().unwrap_or(&key).trim();
    [
        "extraheader",
        "password",
        "token",
        "oauth_token",
        "cookie",
        "sslcertpassword",
        "proxyauth",
        "pass",
        "apikey",
    ]
    .contains(&key)
        || line.to_ascii_lowercase().contains("authorization:")
}

/// Takes `user:password@` and `token@` out of every URL of a line. A plain `git@host` of ssh is a name, not a secret.
fn without_userinfo(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at.saturating_add(3));
        out.push_str(before);
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
        rest = tail;
    }
    out.push_str(rest);
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
    fn a_plain_configuration_is_not_covered() {
        assert_eq!(
            scrub(
                "[remote \"o\"]\n\turl = git@github.com:a/b\n\turl = ssh://git@h/x\n\turl = https://h/x\n"
            ),
            None
        );
    }

    #[test]
    fn continued_secrets_go_whole() {
        let clean = scrub("[http]\n\textraheader = a \\\n SECRET\n\tx = y\n").unwrap();
        assert!(!clean.contains("SECRET") && clean.contains("x = y"));
    }
}
