//! What a registry says of itself, for whoever looks whether everything is as it should be.

use serde_json::Value as Json;

use super::Remote;
use crate::registry::RegistryError;

/// A registry as it answers. What one does not tell is None: the API leaves it open.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RegistryFacts {
    /// The rule for subjects that have none of their own, such as `BACKWARD_TRANSITIVE`.
    pub compatibility: Option<String>,
    /// `READWRITE`, or `READONLY` where it takes no schema.
    pub mode: Option<String>,
    pub version: Option<String>,
    /// When it answered by its own clock, as HTTP has it: `Sun, 06 Nov 1994 08:49:37 GMT`.
    pub date: Option<String>,
}

impl Remote {
    /// Asks a registry about itself. Nothing is changed.
    pub async fn facts(&self) -> Result<RegistryFacts, RegistryError> {
        let client = &self.shared.client;
        let subjects = client.get(&["subjects"]).await.map_err(|failed| self.error(failed))?;
        let date = subjects.headers().get("date").and_then(|date| date.to_str().ok()).map(str::to_owned);
        let text = async |path: &[&str], fields: &[&str]| -> Option<String> {
            let answer: Json = client.get(path).await.ok()?.json().await.ok()?;
            fields.iter().find_map(|field| answer.get(field)?.as_str().map(str::to_owned))
        };
        Ok(RegistryFacts {
            compatibility: text(&["config"], &["compatibilityLevel", "compatibility"]).await,
            mode: text(&["mode"], &["mode"]).await,
            version: text(&["v1", "metadata", "version"], &["version"]).await,
            date,
        })
    }

    /// Where it is, without what may stand between `//` and `@`.
    pub fn place(&self) -> &str {
        &self.shared.place
    }
}
