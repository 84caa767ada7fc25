//! The admin token, by which an operator calls.

use std::fs;
use std::path::{Path, PathBuf};

use tercet_client::Client;

use super::connect::{Connect, given};
use crate::failure::Failure;

/// The file in which `tercet local`, started in this directory, keeps the admin token.
const LOCAL_TOKEN: &str = "tercet-data/admin-token";

/// The source of the admin token.
#[derive(Debug, Clone, clap::Args)]
pub struct Admin {
    /// The admin token of the replicas; better given in a file
    #[arg(long, env = "TERCET_ADMIN_TOKEN", hide_env_values = true)]
    admin_token: Option<String>,

    /// The file that has the admin token [default: that of a `tercet local` in this directory]
    #[arg(long, value_name = "FILE", env = "TERCET_ADMIN_TOKEN_FILE")]
    admin_token_file: Option<PathBuf>,
}

impl Admin {
    /// Gives the same client, calling as an operator.
    pub(super) fn client(&self, client: &Client, connect: &Connect) -> Result<Client, Failure> {
        let variable = match (given(&self.admin_token), &self.admin_token_file) {
            (Some(_), _) => Some("TERCET_ADMIN_TOKEN"),
            (None, Some(_)) => Some("TERCET_ADMIN_TOKEN_FILE"),
            (None, None) => None,
        };
        if variable.is_some() {
            connect.check_list_for("the admin token", variable)?;
        }
        Ok(client.with_token(self.token()?.trim())?)
    }

    fn token(&self) -> Result<String, Failure> {
        if let Some(token) = given(&self.admin_token) {
            return Ok(token.to_owned());
        }
        let file = self.admin_token_file.as_deref();
        let file = file.filter(|path| !path.as_os_str().is_empty());
        let local = Some(Path::new(LOCAL_TOKEN)).filter(|path| path.exists());
        let Some(path) = file.or(local) else {
            let advice = "Name the file that the replicas were started with: --admin-token-file or \
                          TERCET_ADMIN_TOKEN_FILE; `tercet local` keeps it in its data directory.";
            return Err(Failure::failed(
                "NO_ADMIN_TOKEN",
                "no admin token is given",
                advice,
            ));
        };
        fs::read_to_string(path)
            .map_err(|error| Failure::io(&format!("read {}", path.display()), &error))
    }
}
