//! One question: admitted, answered by the tenant's agent, and explained by a receipt.

use super::breaker::{Admission, Case, Ended, Refusal, Ticket, ToCome};
use super::receipt::{AnswerIdentity, Inquiry, Receipt};
use super::resolve::{Manner, Version};
use super::{Runtime, RuntimeError, builtin};
use crate::agent::{Agent, AgentError, AgentHost, Answer, Answered, Question};
use crate::catalog::AnswerCounts;
use crate::corpus::{Filter, TenantId};
use crate::embedder::Priority;
use crate::error::Failure;
use crate::plugin::{Digest, Options};
use crate::policy::Policy;
use crate::task::{Kind, Limits, Task, Usage};
use std::sync::Arc;

/// What is asked.
#[derive(Debug, Clone)]
pub struct QueryRequest {
    /// In the asker's words.
    pub question: String,
    /// The agent; the tenant's default when `None`.
    pub agent: Option<String>,
    /// Passages wanted.
    pub k: usize,
    /// JSON that restricts what may be found.
    pub filter: Option<String>,
    /// Options of the agent.
    pub options: Options,
}

/// An answer as it leaves the runtime.
#[derive(Debug, Clone)]
pub struct QueryOutcome {
    /// Best first.
    pub passages: Vec<Answered>,
    /// What explains it.
    pub receipt: Receipt,
    /// What the task used.
    pub usage: Usage,
    /// Retrieval calls that were denied.
    pub denied: u64,
}

/// The longest question, in bytes.
pub(super) const QUESTION_BYTES_MAX: usize = 64 << 10;

/// A question on its way to an agent.
struct Asked<'a> {
    task: Arc<Task>,
    policy: Arc<Policy>,
    label: String,
    request: &'a QueryRequest,
    given: Options,
    manner: &'a Manner,
}

/// An agent that was let through, with every option. Without a ticket nobody asked the breaker.
type Admitted = (Agent, Options, Option<Ticket>);

impl Runtime {
    /// Answers a question from a tenant's documents.
    pub async fn query(
        &self,
        tenant: &TenantId,
        request: &QueryRequest,
    ) -> Result<QueryOutcome, Failure> {
        self.ask(tenant, request, &Manner::USUAL).await
    }

    /// As [`Runtime::query`], of the version that `manner` says.
    pub(super) async fn ask(
        &self,
        tenant: &TenantId,
        request: &QueryRequest,
        manner: &Manner,
    ) -> Result<QueryOutcome, Failure> {
        let policy = self.policy(tenant)?;
        self.registry.check(tenant)?;
        let filter = request.filter.as_deref().map(Filter::parse).transpose();
        let filter = filter.map_err(RuntimeError::Filter)?;
        check(request, policy.agent.passages_max)?;
        let label = match &request.agent {
            Some(label) => label.clone(),
            None => self.default_agent(tenant)?,
        };
        let given = self.with_k(tenant, &label, request, manner).await?;
        let (embedder, index) = (self.embedder()?, self.index(tenant)?);
        let model = embedder.model().digest.clone();
        let task = Task::new(
            tenant.clone(),
            Kind::Query,
            &request.question,
            Limits::query(&policy),
        );
        let listed = self.registry.list(task)?;
        let asked = Asked {
            task: Arc::clone(&listed),
            policy,
            label,
            request,
            given,
            manner,
        };
        let place = self.gates.admit(&asked.task, &asked.policy).await?;
        let sandbox = self.guests()?.sandbox.holding(place);
        let (agent, options, ticket) = tokio::select! {
            biased;
            stop = asked.task.ended() => return Err(stop.into()),
            admitted = self.admit_agent(&asked) => admitted?,
        };
        let mut lane = super::ingest::lane(tenant, &asked.policy, Priority::Interactive);
        lane.cancel = asked.task.token().clone();
        let host = AgentHost::new(embedder, lane, Arc::clone(&index), filter);
        let (text, k) = (request.question.clone(), request.k);
        let question = Question { text, k, options };
        let mut outcome = agent.answer(&sandbox, host, &asked.task, &question).await;
        let ended = ended(&outcome);
        if let Some(ticket) = ticket {
            ticket.settle(ended.clone()).await;
        }
        if let Ok(answer) = &mut outcome {
            answer
                .degraded
                .extend(self.replaced(&asked, &agent.digest)?);
        }
        self.count(&asked, agent.digest, &outcome, &ended);
        Ok(explain(
            &asked,
            agent.digest,
            model,
            question.options,
            outcome.map_err(|error| self.noted(&asked.task.tenant, error.into()))?,
        ))
    }

    /// Counts a question for what is shown of its agent's version.
    fn count(
        &self,
        asked: &Asked<'_>,
        digest: Digest,
        outcome: &Result<Answer, AgentError>,
        ended: &Ended,
    ) {
        let counts = match outcome {
            _ if !asked.manner.counted => return,
            Ok(answer) => AnswerCounts {
                answers: 1,
                empty: u64::from(answer.passages.is_empty()),
                degraded: u64::from(!answer.degraded.is_empty()),
                denied: u64::from(answer.denied > 0),
                stopped: 0,
            },
            Err(_) if matches!(ended, Ended::Stopped(_)) => AnswerCounts {
                stopped: 1,
                ..AnswerCounts::default()
            },
            // A person, a limit or the host ended it: that says nothing of the agent.
            Err(_) => return,
        };
        let tenant = &asked.task.tenant;
        self.answers.count(tenant, &asked.label, digest, &counts);
    }

    /// The agent, linked, where the breaker lets it run; else the version that was put back.
    async fn admit_agent(&self, asked: &Asked<'_>) -> Result<Admitted, Failure> {
        let (tenant, label, policy) = (&asked.task.tenant, &asked.label, &asked.policy);
        let version = &asked.manner.version;
        let mut refused: Option<(Digest, Refusal)> = None;
        loop {
            let found = self.agent_for(tenant, label, version, &asked.given, policy.wasi);
            let (agent, options) = found.await?;
            if let Version::Candidate(_) = version {
                return Ok((agent, options, None));
            }
            if let Some((digest, refusal)) = refused
                && digest == agent.digest
            {
                return Err(Self::breaker_open(tenant, label.clone(), &digest, refusal).into());
            }
            let case = Case {
                tenant: tenant.clone(),
                digest: agent.digest,
                input: *blake3::hash(asked.request.question.as_bytes()).as_bytes(),
                document: None,
                stopped_before: false,
                quarantined: false,
                to_come: ToCome::default(),
            };
            match self
                .breakers
                .admit(case, &asked.task, &policy.breaker)
                .await?
            {
                Admission::Run(ticket) => return Ok((agent, options, Some(ticket))),
                Admission::Refused(refusal) => {
                    self.breakers.written(tenant, &agent.digest).await;
                    refused = Some((agent.digest, refusal));
                }
            }
        }
    }

    /// What the receipt says of an agent that runs in the place of a newer version.
    fn replaced(&self, asked: &Asked<'_>, digest: &Digest) -> Result<Option<String>, Failure> {
        let label = &asked.label;
        if builtin::find(label).is_some() || matches!(asked.manner.version, Version::Candidate(_)) {
            return Ok(None);
        }
        let installed = self.catalog.plugins(&asked.task.tenant)?.into_iter();
        let mut of_label = installed.filter(|plugin| plugin.label == *label);
        let in_use = of_label.next().filter(|plugin| plugin.digest == *digest);
        let from = in_use.and_then(|plugin| plugin.put_back_from);
        let sentence = |from: Digest| {
            format!(
                "the breaker rolled '{label}' back from version {}",
                from.short()
            )
        };
        Ok(from.map(sentence))
    }

    /// The caller's options, with `k` where the agent declares it and the caller did not set it there. A version
    /// that is asked again has all of its options already.
    async fn with_k(
        &self,
        tenant: &TenantId,
        label: &str,
        request: &QueryRequest,
        manner: &Manner,
    ) -> Result<Options, Failure> {
        let mut options = request.options.clone();
        let set = options.iter().any(|(name, _)| name == "k");
        let declared = match &manner.version {
            _ if set => false,
            Version::InUse => self.declares(tenant, label, "k").await?,
            Version::Kept(_) => false,
            Version::Candidate(candidate) => candidate.declares("k"),
        };
        if declared {
            options.push(("k".to_owned(), request.k.to_string()));
        }
        Ok(options)
    }

    /// Every option that the question would get today, from the version in use.
    pub(super) async fn options_today(
        &self,
        tenant: &TenantId,
        label: &str,
        request: &QueryRequest,
    ) -> Result<Options, Failure> {
        let given = self.with_k(tenant, label, request, &Manner::USUAL).await?;
        self.options_of(tenant, label, &given).await
    }
}

/// The answer with its receipt.
fn explain(
    asked: &Asked<'_>,
    digest: Digest,
    model: String,
    options: Options,
    answer: Answer,
) -> QueryOutcome {
    let Asked { task, request, .. } = asked;
    let usage = task.usage();
    let inquiry = Inquiry {
        tenant: task.tenant.clone(),
        agent: asked.label.clone(),
        plugin: digest,
        policy: asked.policy.digest_hex(),
        model,
        index_generation: answer.index_generation,
        question: request.question.clone(),
        k: request.k,
        filter: request.filter.clone(),
        options,
        options_given: request.options.clone(),
    };
    let receipt = Receipt {
        task: task.id.to_string(),
        inquiry,
        hops: answer.hops,
        degraded: answer.degraded,
        usage: usage.clone(),
        answer: AnswerIdentity::of(&answer.passages),
    };
    QueryOutcome {
        passages: answer.passages,
        receipt,
        usage,
        denied: answer.denied,
    }
}

fn ended<T>(outcome: &Result<T, AgentError>) -> Ended {
    match outcome {
        Ok(_) => Ended::Done,
        Err(AgentError::Stop(stop)) => Ended::by(Some(stop)),
        Err(_) => Ended::by(None),
    }
}

fn check(request: &QueryRequest, passages_max: u64) -> Result<(), RuntimeError> {
    if request.question.trim().is_empty() {
        return Err(RuntimeError::Argument("the question is empty".to_owned()));
    }
    if request.question.len() > QUESTION_BYTES_MAX {
        let message = format!("the question has more than {QUESTION_BYTES_MAX} bytes");
        return Err(RuntimeError::Argument(message));
    }
    if request.k == 0 || request.k as u64 > passages_max {
        let message = format!("--k must be from 1 to {passages_max} (passages_max of the policy)");
        return Err(RuntimeError::Argument(message));
    }
    Ok(())
}
