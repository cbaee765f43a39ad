//! One question: admitted, answered by the tenant's agent, and explained by a receipt.

use super::breaker::{Admission, Case, Ended, Refusal, Ticket, ToCome};
use super::{Runtime, RuntimeError, builtin};
use crate::agent::{Agent, AgentError, AgentHost, Answered, Hop, Question};
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

/// What explains an answer.
#[derive(Debug, Clone)]
pub struct Receipt {
    /// The task that answered.
    pub task: String,
    /// The tenant that was asked.
    pub tenant: TenantId,
    /// The agent's label.
    pub agent: String,
    /// The agent's digest.
    pub plugin: String,
    /// Digest of the policy's effective values.
    pub policy: String,
    /// Digest of the model.
    pub model: String,
    /// The state of the index that was asked.
    pub index_generation: u64,
    /// The question.
    pub question: String,
    /// Passages wanted.
    pub k: usize,
    /// The caller's filter.
    pub filter: Option<String>,
    /// Every option with its value.
    pub options: Options,
    /// The agent's retrieval calls.
    pub hops: Vec<Hop>,
    /// What was denied, clamped, dropped or answered by a fallback.
    pub degraded: Vec<String>,
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
}

/// The longest question, in bytes.
const QUESTION_BYTES_MAX: usize = 64 << 10;

impl Runtime {
    /// Answers a question from a tenant's documents.
    pub async fn query(
        &self,
        tenant: &TenantId,
        request: &QueryRequest,
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
        let given = self.with_k(tenant, &label, request).await?;
        let (embedder, index) = (self.embedder()?, self.index(tenant)?);
        let model = embedder.model().digest.clone();
        let task = Task::new(
            tenant.clone(),
            Kind::Query,
            &request.question,
            Limits::query(&policy),
        );
        let task = self.registry.list(task)?;
        let place = self.gates.admit(&task, &policy).await?;
        let sandbox = self.guests()?.sandbox.holding(place);
        let (agent, options, ticket) = tokio::select! {
            biased;
            stop = task.ended() => return Err(stop.into()),
            admitted = self.admit_agent(&task, &policy, &label, request, &given) => admitted?,
        };
        let mut lane = super::ingest::lane(tenant, &policy, Priority::Interactive);
        lane.cancel = task.token().clone();
        let host = AgentHost::new(embedder, lane, Arc::clone(&index), filter);
        let (text, k) = (request.question.clone(), request.k);
        let question = Question { text, k, options };
        let outcome = agent.answer(&sandbox, host, &task, &question).await;
        ticket.settle(ended(&outcome)).await;
        let mut answer = outcome?;
        answer.degraded.extend(self.replaced(tenant, &label)?);
        let receipt = Receipt {
            task: task.id.to_string(),
            tenant: tenant.clone(),
            agent: label,
            plugin: agent.digest.to_string(),
            policy: policy.digest_hex(),
            model,
            index_generation: answer.index_generation,
            question: request.question.clone(),
            k: request.k,
            filter: request.filter.clone(),
            options: question.options,
            hops: answer.hops,
            degraded: answer.degraded,
        };
        Ok(QueryOutcome {
            passages: answer.passages,
            receipt,
            usage: task.usage(),
        })
    }

    /// The agent, linked, where the breaker lets it run; else the version that was put back.
    async fn admit_agent(
        &self,
        task: &Task,
        policy: &Policy,
        label: &str,
        request: &QueryRequest,
        given: &Options,
    ) -> Result<(Agent, Options, Ticket), Failure> {
        let tenant = &task.tenant;
        let mut refused: Option<(Digest, Refusal)> = None;
        loop {
            let found = self.agent_for(tenant, Some(label), given, policy.wasi);
            let (label, agent, options) = found.await?;
            if let Some((digest, refusal)) = refused
                && digest == agent.digest
            {
                return Err(Self::breaker_open(tenant, label, &digest, refusal).into());
            }
            let case = Case {
                tenant: tenant.clone(),
                digest: agent.digest,
                input: *blake3::hash(request.question.as_bytes()).as_bytes(),
                document: None,
                stopped_before: false,
                quarantined: false,
                to_come: ToCome::default(),
            };
            match self.breakers.admit(case, task, &policy.breaker).await? {
                Admission::Run(ticket) => return Ok((agent, options, ticket)),
                Admission::Refused(refusal) => {
                    self.breakers.written(tenant, &agent.digest).await;
                    refused = Some((agent.digest, refusal));
                }
            }
        }
    }

    /// What the receipt says of an agent that runs in the place of a newer version.
    fn replaced(&self, tenant: &TenantId, label: &str) -> Result<Option<String>, Failure> {
        if builtin::find(label).is_some() {
            return Ok(None);
        }
        let from = self.catalog.plugin(tenant, label)?.put_back_from;
        let sentence = |from: Digest| {
            format!(
                "the breaker rolled '{label}' back from version {}",
                from.short()
            )
        };
        Ok(from.map(sentence))
    }

    /// The caller's options, with `k` where the agent declares it and the caller did not set it there.
    async fn with_k(
        &self,
        tenant: &TenantId,
        label: &str,
        request: &QueryRequest,
    ) -> Result<Options, Failure> {
        let mut options = request.options.clone();
        let set = options.iter().any(|(name, _)| name == "k");
        if !set && self.declares(tenant, label, "k").await? {
            options.push(("k".to_owned(), request.k.to_string()));
        }
        Ok(options)
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
