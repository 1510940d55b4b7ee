//! `headwater token`: a signed token that says who is calling.

use std::time::Duration;

use clap::Args;

use crate::context::Context;
use crate::environment;
use crate::failure::{Answer, Failure};

/// Sign a token for a caller: its subject, its roles
#[derive(Debug, Args)]
#[command(
    long_about = "Prints a JSON Web Token that the APIs of this project accept as `Authorization: Bearer …`. It is signed \
                  with the project's own key, which is made on the first use and kept beside the log, under keys/. Whoever \
                  can read that folder can be anyone: guard it.",
    after_help = "Examples:\n  headwater token --sub alice\n  headwater token --sub alice --role administrator --hours 1\n  \
                  curl -H \"Authorization: Bearer $(headwater token --sub alice)\" http://127.0.0.1:8080/documents"
)]
pub(crate) struct Token {
    /// Who: the subject, which declarations call actor()
    #[arg(long, value_name = "NAME", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    sub: String,

    /// A role, as `allow: role(x)` names it; may be given several times
    #[arg(long = "role", value_name = "ROLE")]
    roles: Vec<String>,

    /// How long it holds
    #[arg(long, value_name = "HOURS", default_value_t = 24, value_parser = clap::value_parser!(u64).range(1..=8760))]
    hours: u64,
}

impl Token {
    pub(crate) fn run(&self, context: &Context) -> Result<Answer, Failure> {
        let project = match context.project()? {
            Ok(project) => project,
            Err(answer) => return Ok(answer),
        };
        let keys = environment::keys(&project)?;
        let token = sign(&keys, &self.sub, &self.roles, Duration::from_secs(self.hours * 3600))?;
        let mut out = context.output();
        if context.json {
            out.value(
                &serde_json::json!({ "token": token, "sub": self.sub, "roles": self.roles, "hours": self.hours }),
            )?;
        } else {
            out.line(token)?;
        }
        out.flush()?;
        Ok(Answer::Yes)
    }
}

pub(crate) fn sign(keys: &headwater_http::Keys, sub: &str, roles: &[String], ttl: Duration) -> Result<String, Failure> {
    keys.sign(sub, roles, ttl).map_err(|error| Failure::because("the token cannot be signed", &error))
}
