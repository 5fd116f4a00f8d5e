//! The envelope's judgement on paths, as the workspace needs it: what pods must not see, what apply must hold.
//!
//! Both come from one value, which is kept in the session, so that `nucleus apply` after a crash judges as the task did.

use std::fs;
use std::io;
use std::path::Path;

use lattice_guard::{Classifier, Level, Operation, Permissions, RelPath};
use serde::{Deserialize, Serialize};

use crate::workspace::{HoldReason, MaskPolicy, MaskReason};

/// File of a session directory that keeps the judgement.
const FILE: &str = "envelope.json";

/// The parts of an envelope that judge paths.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Withhold {
    permissions: Permissions,
    classifier: Classifier,
}

impl Withhold {
    /// The judgement of an envelope.
    #[must_use]
    pub fn new(permissions: Permissions, classifier: Classifier) -> Self {
        Self { permissions, classifier }
    }

    /// Reads the judgement of a session.
    ///
    /// # Errors
    /// The file is missing or damaged; nothing of the session may then be applied.
    pub fn load(session_dir: &Path) -> io::Result<Self> {
        serde_json::from_slice(&fs::read(session_dir.join(FILE))?).map_err(Into::into)
    }

    /// Keeps the judgement in a session directory.
    ///
    /// # Errors
    /// Those of writing.
    pub fn save(&self, session_dir: &Path) -> io::Result<()> {
        fs::write(session_dir.join(FILE), serde_json::to_vec(self)?)
    }

    /// What tool pods must not see of the workspace.
    #[must_use]
    pub fn masks(&self) -> MaskPolicy {
        let judge = self.clone();
        MaskPolicy::new(move |path| judge.masked(path))
    }

    /// Why a changed path waits for the user, if the envelope or the classifier says so. With a `/` at its end: why a
    /// link there waits, which gives names that nobody judged to whatever lies behind it.
    #[must_use]
    pub fn hold(&self, path: &str) -> Option<HoldReason> {
        if let Some(name) = path.strip_prefix(".git/") {
            return self.hold_reference(name);
        }
        let Ok(relative) = RelPath::parse(path) else { return Some(HoldReason::NameNotText) };
        if path.ends_with('/') {
            let alias = self.classifier.leads_to_executed(&relative);
            return alias.then_some(HoldReason::LinkAlias);
        }
        match self.masked(path) {
            Some(MaskReason::Sensitive) => Some(HoldReason::Sensitive),
            Some(_) => Some(HoldReason::Blocked),
            // A command may write beside the allowed paths in its overlay; it does not reach the host.
            None if self.permissions.paths.admit(&self.classifier, &relative).is_err() => {
                Some(HoldReason::Blocked)
            }
            None if self.classifier.executed_or_trusted(&relative) => {
                Some(HoldReason::ExecutedOrTrusted)
            }
            // A command writes in its overlay whatever it likes. What reaches the host is for the policy of writing to say.
            None => (!self.writes_unasked()).then_some(HoldReason::NotPermitted),
        }
    }

    /// Why a moved reference of the workspace's repository waits: commits are made by commands, so it is here that the
    /// policy of committing holds.
    fn hold_reference(&self, name: &str) -> Option<HoldReason> {
        let moves = matches!(name, "HEAD" | "packed-refs")
            || name.starts_with("refs/")
            || name.starts_with("reftable/");
        let permitted = match self.permissions.levels.get(Operation::GitCommit) {
            Level::Always => true,
            // As the classifier rates `git commit`: low on a branch that is not protected.
            Level::LowRisk => match name.strip_prefix("refs/heads/") {
                Some(branch) => self.classifier.ordinary_branch(branch),
                None => name != "packed-refs",
            },
            Level::Ask | Level::Never => false,
        };
        (moves && !permitted).then_some(HoldReason::NotPermitted)
    }

    /// Whether the policy lets anything be written without a person.
    fn writes_unasked(&self) -> bool {
        [Operation::WriteFiles, Operation::EditFiles]
            .iter()
            .any(|operation| self.permissions.levels.get(*operation) >= Level::LowRisk)
    }

    fn masked(&self, path: &str) -> Option<MaskReason> {
        // A name the policy cannot read is one it cannot have allowed.
        let Ok(relative) = RelPath::parse(path) else { return Some(MaskReason::Blocked) };
        if self.permissions.paths.withholds(&self.classifier, &relative) {
            let sensitive = self.classifier.sensitive(&relative);
            return Some(if sensitive { MaskReason::Sensitive } else { MaskReason::Blocked });
        }
        // What may never enter a model-visible result must not be read by a command either: its output is one.
        (!self.permissions.model.visible.permits(&relative)).then_some(MaskReason::Blocked)
    }
}

#[cfg(test)]
mod tests {
    use lattice_guard::Paths;

    use super::*;

    fn judge() -> Withhold {
        let classifier = Classifier::default();
        let paths = Paths::from_rules(None, Vec::new(), &classifier);
        Withhold::new(Permissions { paths, ..Permissions::top() }, classifier)
    }

    #[test]
    fn secrets_are_masked_and_held_and_ordinary_files_are_neither() {
        assert_eq!(judge().masks().judge(".env"), Some(MaskReason::Sensitive));
        assert_eq!(judge().hold(".env"), Some(HoldReason::Sensitive));
        assert_eq!(judge().masks().judge("src/lib.rs"), None);
        assert_eq!(judge().hold("src/lib.rs"), None);
    }

    #[test]
    fn what_runs_unasked_is_visible_and_held() {
        assert_eq!(judge().masks().judge(".vscode/tasks.json"), None);
        assert_eq!(judge().hold(".vscode/tasks.json"), Some(HoldReason::ExecutedOrTrusted));
    }

    #[test]
    fn what_an_allow_list_leaves_out_is_held() {
        let classifier = Classifier::default();
        let allowed = vec![lattice_guard::PathPattern::parse("src/**").unwrap()];
        let paths = Paths::from_rules(Some(allowed), Vec::new(), &classifier);
        let judge = Withhold::new(Permissions { paths, ..Permissions::top() }, classifier);
        assert_eq!(judge.hold("src/lib.rs"), None);
        assert_eq!(judge.hold("other.txt"), Some(HoldReason::Blocked));
    }

    #[test]
    fn what_nobody_may_write_or_commit_is_held_however_it_was_written() {
        let with = |levels: &[(Operation, Level)]| {
            let mut permissions = Permissions::top();
            for (operation, level) in levels {
                permissions.levels = permissions.levels.with(*operation, *level);
            }
            Withhold::new(permissions, Classifier::default())
        };
        let (write, edit) = (Operation::WriteFiles, Operation::EditFiles);
        for level in [Level::Never, Level::Ask] {
            let judge = with(&[(write, level), (edit, level)]);
            assert_eq!(judge.hold("src/lib.rs"), Some(HoldReason::NotPermitted), "{level:?}");
            let judge = with(&[(write, level)]);
            assert_eq!(judge.hold("src/lib.rs"), None, "editing is permitted");
            let judge = with(&[(Operation::GitCommit, level)]);
            for moved in ["HEAD", "refs/heads/topic", "refs/stash", "packed-refs"] {
                let held = judge.hold(&format!(".git/{moved}"));
                assert_eq!(held, Some(HoldReason::NotPermitted), "{level:?} {moved}");
            }
            assert_eq!(judge.hold(".git/index"), None, "git status refreshes it");
        }
        let low = with(&[(Operation::GitCommit, Level::LowRisk)]);
        assert_eq!(low.hold(".git/refs/heads/topic"), None);
        assert_eq!(low.hold(".git/refs/heads/main"), Some(HoldReason::NotPermitted));
        assert_eq!(with(&[]).hold(".git/refs/heads/main"), None);
    }

    #[test]
    fn a_link_above_what_runs_unasked_is_an_alias() {
        for path in ["gradle", "sub/gradle", ".github", "sub/.cargo", "mise"] {
            assert_eq!(judge().hold(&format!("{path}/")), Some(HoldReason::LinkAlias), "{path}");
        }
        for path in ["src", "plain", "node_modules/.bin/tsc", "sub/mise"] {
            assert_eq!(judge().hold(&format!("{path}/")), None, "{path}");
        }
    }

    #[test]
    fn a_session_judges_as_its_task_did() {
        let dir = tempfile::tempdir().unwrap();
        judge().save(dir.path()).unwrap();
        assert_eq!(Withhold::load(dir.path()).unwrap().hold(".env"), Some(HoldReason::Sensitive));
        assert!(Withhold::load(&dir.path().join("nowhere")).is_err());
    }
}
