//! The envelope's judgement on paths, as the workspace needs it: what pods must not see, what apply must hold.
//!
//! Both come from one value, which is kept in the session, so that `nucleus apply` after a crash judges as the task did.

use std::fs;
use std::io;
use std::path::Path;

use lattice_guard::{Classifier, Permissions, RelPath};
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

    /// Why a changed path waits for the user, if the envelope or the classifier says so.
    #[must_use]
    pub fn hold(&self, path: &str) -> Option<HoldReason> {
        let Ok(relative) = RelPath::parse(path) else { return Some(HoldReason::NameNotText) };
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
            None => None,
        }
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
    fn a_session_judges_as_its_task_did() {
        let dir = tempfile::tempdir().unwrap();
        judge().save(dir.path()).unwrap();
        assert_eq!(Withhold::load(dir.path()).unwrap().hold(".env"), Some(HoldReason::Sensitive));
        assert!(Withhold::load(&dir.path().join("nowhere")).is_err());
    }
}
