//! The session: it is found, opened and ended here.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tercet_client::{Client, LeaderInfo};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::Report;
use super::follow::follow;
use super::requests;
use super::tasks::{PAUSE, list, mark_in_order, send_in_order, watch_cluster};
use crate::accounts::{Accounts, Session, Setup};
use crate::model::{Effect, Net};

/// The time that markers have before the chat ends.
const LEAVE_TIMEOUT: Duration = Duration::from_millis(700);

/// The data that the tasks share.
pub(super) struct Link<A: Accounts> {
    accounts: A,
    /// The client without a session.
    client: Client,
    /// The name that was given at the start.
    name: String,
    /// The description of this program and host that the login sends.
    label: String,
    /// The first text in the form of the login.
    login_note: String,
    pub(super) reports: mpsc::UnboundedSender<Report>,
    session: Arc<Mutex<Option<Open>>>,
    watched: watch::Sender<bool>,
}

impl<A: Accounts> Clone for Link<A> {
    fn clone(&self) -> Self {
        Link {
            accounts: self.accounts.clone(),
            client: self.client.clone(),
            name: self.name.clone(),
            login_note: self.login_note.clone(),
            label: self.label.clone(),
            reports: self.reports.clone(),
            session: self.session.clone(),
            watched: self.watched.clone(),
        }
    }
}

/// An open session and its tasks, which end with it.
struct Open {
    session: Session,
    sends: mpsc::UnboundedSender<Effect>,
    marks: mpsc::UnboundedSender<Effect>,
    /// The task that moves the markers: it ends when it has moved all, and nothing can be added.
    marking: JoinHandle<()>,
    tasks: Vec<JoinHandle<()>>,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.marking.abort();
        for task in &self.tasks {
            task.abort();
        }
    }
}

impl<A: Accounts> Link<A> {
    pub(super) fn new(
        accounts: A,
        setup: &Setup,
        reports: mpsc::UnboundedSender<Report>,
    ) -> Link<A> {
        Link {
            accounts,
            client: setup.client.clone(),
            name: setup.name.clone(),
            login_note: setup.login_note.clone(),
            label: setup.label.clone(),
            reports,
            session: Arc::default(),
            watched: watch::Sender::new(false),
        }
    }

    /// Looks for a stored session, and starts it or asks for a login. `known` is the name of the last account here.
    pub(super) fn start(&self, known: String) {
        let link = self.clone();
        tokio::spawn(async move {
            loop {
                match link.accounts.find().await {
                    Ok(Some(session)) => return link.open(session, false).await,
                    Ok(None) => {
                        let is_empty = link.client.has_no_accounts().await.unwrap_or(false);
                        let name = if link.name.is_empty() {
                            known
                        } else {
                            link.name.clone()
                        };
                        let why = link.login_note.clone();
                        return link.net(Net::NeedsLogin {
                            name,
                            is_empty,
                            why,
                        });
                    }
                    Err(error) if error.may_pass => {
                        link.net(Net::Lost { why: error.why });
                        sleep(PAUSE).await;
                    }
                    Err(error) => {
                        let name = link.name.clone();
                        return link.net(Net::NeedsLogin {
                            name,
                            is_empty: false,
                            why: error.why,
                        });
                    }
                }
            }
        });
    }

    pub(super) fn net(&self, net: Net) {
        let _ = self.reports.send(Report::Net(net)); // the chat may have ended
    }

    /// Carries out an effect that needs the network.
    pub(super) fn request(&self, effect: Effect) {
        let link = self.clone();
        match effect {
            Effect::WatchCluster(often) => _ = self.watched.send_replace(often),
            Effect::Login { name, password } => {
                tokio::spawn(async move { link.log_in(&name, &password, false).await });
            }
            Effect::Register { name, password } => {
                tokio::spawn(async move { link.log_in(&name, &password, true).await });
            }
            Effect::Logout => _ = tokio::spawn(async move { link.log_out().await }),
            send @ (Effect::Send { .. }
            | Effect::Edit { .. }
            | Effect::Delete { .. }
            | Effect::React { .. }) => {
                let session = self.session.lock().unwrap_or_else(PoisonError::into_inner);
                // Without a session it stays as it is, and is sent when there is one.
                if let Some(open) = &*session {
                    let _ = open.sends.send(send);
                }
            }
            mark @ (Effect::MarkRead { .. } | Effect::MarkUnread { .. }) => {
                let session = self.session.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(open) = &*session {
                    let _ = open.marks.send(mark);
                }
            }
            Effect::Conversations => {
                if let Some(session) = self.session() {
                    tokio::spawn(list(session.client, link.reports));
                }
            }
            Effect::Export { room, file } => {
                if let Some(session) = self.session() {
                    tokio::spawn(async move {
                        let written = link.accounts.export(&session.client, room, file).await;
                        link.net(Net::Done(written));
                    });
                }
            }
            other => {
                if let Some(session) = self.session() {
                    tokio::spawn(
                        async move { requests::carry_out(session, other, link.reports).await },
                    );
                }
            }
        }
    }

    fn session(&self) -> Option<Session> {
        let session = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        session.as_ref().map(|open| open.session.clone())
    }

    async fn log_in(&self, name: &str, password: &str, registers: bool) {
        if registers && let Err(error) = self.client.create_account(name, password).await {
            let why = if error.is_refused_for("NAME_TAKEN") {
                format!("{name} has an account already: log in, or take another name.")
            } else {
                error.to_string()
            };
            return self.net(Net::LoginFailed { why });
        }
        let login = match self
            .client
            .login_labelled(name, password, &self.label)
            .await
        {
            Ok(login) => login,
            Err(error) => {
                let why = if error.is_refused_for("WRONG_CREDENTIALS") {
                    "Unknown name or wrong password. Ctrl-R makes a new account.".to_owned()
                } else {
                    error.to_string()
                };
                return self.net(Net::LoginFailed { why });
            }
        };
        let kept = self.accounts.keep(&self.client, &login).await;
        match self.client.with_token(&login.token) {
            Ok(client) => {
                let name = login.username;
                self.open(Session { client, name }, true).await;
            }
            Err(error) => self.net(Net::LoginFailed {
                why: error.to_string(),
            }),
        }
        if let Err(why) = kept {
            self.net(Net::Done(Err(format!("the session is not stored: {why}"))));
        }
    }

    async fn log_out(&self) {
        let Some(session) = self.session() else {
            return;
        };
        if let Err(error) = session.client.logout().await {
            return self.net(Net::Done(Err(format!("not logged out: {error}"))));
        }
        if let Err(why) = self.accounts.forget(&self.client, &session.name).await {
            return self.net(Net::Done(Err(why)));
        }
        let _ = self.reports.send(Report::LoggedOut);
    }

    async fn open(&self, session: Session, is_new: bool) {
        let LeaderInfo { cluster_id, .. } = loop {
            match session.client.leader().await {
                Ok(leader) => break leader,
                Err(error) => {
                    self.net(Net::Lost {
                        why: error.to_string(),
                    });
                    sleep(PAUSE).await;
                }
            }
        };
        let name = session.name.clone();
        let (go_on, cursor) = oneshot::channel();
        let _ = self.reports.send(Report::Found {
            cluster_id,
            name,
            is_new,
            go_on,
        });
        let Ok(cursor) = cursor.await else {
            return;
        };
        let (sends, queued) = mpsc::unbounded_channel();
        let (marks, to_mark) = mpsc::unbounded_channel();
        let marking = tokio::spawn(mark_in_order(
            session.client.clone(),
            to_mark,
            self.reports.clone(),
        ));
        let tasks = vec![
            tokio::spawn(send_in_order(
                session.client.clone(),
                queued,
                self.reports.clone(),
            )),
            tokio::spawn(watch_cluster(
                session.client.clone(),
                self.watched.subscribe(),
                self.reports.clone(),
            )),
            tokio::spawn(follow(self.clone(), session.clone(), cursor)),
        ];
        let mut open = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        *open = Some(Open {
            session,
            sends,
            marks,
            marking,
            tasks,
        });
    }

    /// Moves markers before the chat ends, and waits for a moment until it is done.
    pub(super) async fn leave(&self, marks: Vec<Effect>) {
        let open = {
            let mut session = self.session.lock().unwrap_or_else(PoisonError::into_inner);
            session.take()
        };
        let Some(mut open) = open else {
            return;
        };
        for mark in marks {
            let _ = open.marks.send(mark);
        }
        // Without a sender the task ends.
        open.marks = mpsc::unbounded_channel().0;
        let _ = timeout(LEAVE_TIMEOUT, &mut open.marking).await; // the next start tells the rest
    }
}
