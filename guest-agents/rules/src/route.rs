//! What the rules that spoke come to, and the searches that follow from it.

use crate::grammar::{Action, Fallback, Rule, Way};
use crate::words::has;
use std::collections::{HashMap, HashSet};
use stockade_guest::{Answer, ChunkId, Citation, Denied, Hit, Retrieval};

/// All that the rules say of this question. Of each saying, which rule's it is.
pub(crate) struct Route<'a> {
    way: Way,
    way_by: Option<usize>,
    own_filter: Option<&'a str>,
    filters: Vec<(usize, &'a str)>,
    boosts: Vec<(usize, f64, &'a str)>,
    required: Vec<(usize, &'a str)>,
    otherwise: Option<(usize, Fallback)>,
}

/// Passages on their way to the answer.
struct Found {
    hits: Vec<Hit>,
    boosted: HashMap<ChunkId, Vec<usize>>,
    way: Way,
    filtered: bool,
}

impl<'a> Route<'a> {
    pub(crate) fn of(rules: &[&'a Rule], own_filter: Option<&'a str>) -> Self {
        let mut route = Self {
            way: Way::Hybrid,
            way_by: None,
            own_filter,
            filters: Vec::new(),
            boosts: Vec::new(),
            required: Vec::new(),
            otherwise: None,
        };
        for rule in rules {
            for action in &rule.actions {
                route.add(rule.number, action);
            }
        }
        route
    }

    fn add(&mut self, number: usize, action: &'a Action) {
        match action {
            Action::By(way) if self.way_by.is_none() => {
                (self.way, self.way_by) = (*way, Some(number));
            }
            Action::Otherwise(fallback) if self.otherwise.is_none() => {
                self.otherwise = Some((number, *fallback));
            }
            Action::By(_) | Action::Otherwise(_) => {}
            Action::Filter(json) => self.filters.push((number, json)),
            Action::Boost(factor, json) => self.boosts.push((number, *factor, json)),
            Action::Require(text) => self.required.push((number, text)),
        }
    }

    /// Searches as the rules say; where that finds nothing, as they say for that case.
    pub(crate) fn answer(
        &self,
        question: &str,
        passages: usize,
        depth: u32,
        documents: &impl Retrieval,
    ) -> Result<Answer, String> {
        let mut degraded = Vec::new();
        let mut found = self.find(self.way, true, question, depth, documents, &mut degraded)?;
        if found.hits.is_empty() && !matches!(self.otherwise, None | Some((_, Fallback::Nothing))) {
            let (number, fallback) = self.otherwise.unwrap_or((0, Fallback::Nothing));
            let (way, filtered, said) = match fallback {
                Fallback::By(way) => (way, true, format!("by {}", way.name())),
                _ => (
                    self.way,
                    false,
                    "without rules' filters and required words".to_owned(),
                ),
            };
            degraded.push(format!(
                "Nothing was found, so rule {number} searched {said}."
            ));
            found = self.find(way, filtered, question, depth, documents, &mut degraded)?;
        }
        let cite = |hit: &Hit| Citation {
            chunk: hit.chunk,
            score: hit.score,
            reason: self.reason(hit, &found),
        };
        Ok(Answer {
            passages: found.hits.iter().take(passages).map(cite).collect(),
            degraded,
        })
    }

    fn find(
        &self,
        way: Way,
        filtered: bool,
        question: &str,
        depth: u32,
        documents: &impl Retrieval,
        degraded: &mut Vec<String>,
    ) -> Result<Found, String> {
        let filters = self.filters.iter().filter(|_| filtered);
        let filters = self
            .own_filter
            .into_iter()
            .chain(filters.map(|(_, json)| *json));
        let filters: Vec<&str> = filters.collect();
        let mut search = Search {
            way,
            question,
            depth,
            documents,
            vector: None,
        };
        let hits = search.run(&filters).or_else(|denied| match denied {
            Denied::BudgetSpent(_) if way != Way::Text => {
                let sentence = format!("Searched by words alone: {}.", denied.reason());
                degraded.push(sentence);
                search.way = Way::Text;
                search.run(&filters)
            }
            denied => Err(denied),
        });
        let hits = hits.map_err(|denied| self.refusal(&denied, filtered))?;
        let mut found = Found {
            hits,
            boosted: HashMap::new(),
            way: search.way,
            filtered,
        };
        self.boost(&mut found, &mut search, &filters, degraded)?;
        if filtered {
            self.require(&mut found, documents, degraded);
        }
        Ok(found)
    }

    fn refusal(&self, denied: &Denied, filtered: bool) -> String {
        let numbers: Vec<String> = self.filters.iter().map(|(n, _)| n.to_string()).collect();
        let whose = match (denied, filtered, numbers.as_slice()) {
            (Denied::InvalidArgument(_), true, [_, ..]) => {
                format!(" with the filter of rule {}", numbers.join(" and "))
            }
            _ => String::new(),
        };
        format!("The search{whose} was refused: {}.", denied.reason())
    }

    /// Passages that the same search finds among the boosted documents have their scores multiplied.
    fn boost<R: Retrieval>(
        &self,
        found: &mut Found,
        search: &mut Search<'_, R>,
        filters: &[&str],
        degraded: &mut Vec<String>,
    ) -> Result<(), String> {
        for (number, factor, json) in &self.boosts {
            let both: Vec<&str> = filters.iter().copied().chain([*json]).collect();
            let preferred = match search.run(&both) {
                Ok(hits) => hits,
                Err(denied @ Denied::InvalidArgument(_)) => {
                    let reason = denied.reason();
                    return Err(format!("The boost of rule {number} was refused: {reason}."));
                }
                Err(denied) => {
                    degraded.push(format!(
                        "Rule {number} boosted nothing: {}.",
                        denied.reason()
                    ));
                    continue;
                }
            };
            let preferred: HashSet<ChunkId> = preferred.iter().map(|hit| hit.chunk).collect();
            for hit in found
                .hits
                .iter_mut()
                .filter(|hit| preferred.contains(&hit.chunk))
            {
                hit.score = boosted(hit.score, *factor);
                found.boosted.entry(hit.chunk).or_default().push(*number);
            }
        }
        let best_first = |a: &Hit, b: &Hit| b.score.total_cmp(&a.score).then(a.chunk.cmp(&b.chunk));
        found.hits.sort_by(best_first);
        Ok(())
    }

    /// Keeps the passages that have all required words. What cannot be read is left out.
    fn require(&self, found: &mut Found, documents: &impl Retrieval, degraded: &mut Vec<String>) {
        if self.required.is_empty() || found.hits.is_empty() {
            return;
        }
        let chunks: Vec<ChunkId> = found.hits.iter().map(|hit| hit.chunk).collect();
        let passages = documents.read(&chunks).or_else(|denied| {
            if denied != Denied::NotFound {
                let reason = denied.reason();
                degraded.push(format!(
                    "Not all passages were searched for required words: {reason}."
                ));
            }
            let each = chunks.iter().map(|chunk| documents.read(&[*chunk]));
            Ok::<_, Denied>(each.filter_map(Result::ok).flatten().collect())
        });
        let passages = passages.unwrap_or_default();
        let all = |text: &str| self.required.iter().all(|(_, words)| has(text, words));
        let keep = passages.iter().filter(|passage| all(&passage.text));
        let keep: HashSet<ChunkId> = keep.map(|passage| passage.chunk).collect();
        found.hits.retain(|hit| keep.contains(&hit.chunk));
    }

    fn reason(&self, hit: &Hit, found: &Found) -> String {
        let mut parts = vec![format!(
            "found by {}, score {:.3}",
            found.way.name(),
            hit.score
        )];
        if let Some(number) = self.way_by.filter(|_| found.way == self.way) {
            parts.push(format!("rule {number} chose this search"));
        }
        if found.filtered {
            let filters = self.filters.iter();
            parts.extend(filters.map(|(n, json)| format!("rule {n} filters by {json}")));
            let required = self.required.iter();
            parts.extend(required.map(|(n, text)| format!("rule {n} requires \"{text}\"")));
        }
        for number in found.boosted.get(&hit.chunk).into_iter().flatten() {
            let factor = self.boosts.iter().find(|(n, _, _)| n == number);
            let factor = factor.map_or(1.0, |(_, factor, _)| *factor);
            parts.push(format!("rule {number} multiplies its score by {factor}"));
        }
        parts.join("; ")
    }
}

/// Worse than none is a score below 0, which a boost brings nearer to it.
fn boosted(score: f32, factor: f64) -> f32 {
    let factor = factor as f32;
    match score >= 0.0 {
        true => score * factor,
        false => score / factor,
    }
}

impl Way {
    fn name(self) -> &'static str {
        match self {
            Self::Hybrid => "hybrid search",
            Self::Text => "words",
            Self::Vector => "meaning",
        }
    }
}

/// One question asked under several filters; it is embedded once where the way allows it.
struct Search<'a, R: Retrieval> {
    way: Way,
    question: &'a str,
    depth: u32,
    documents: &'a R,
    vector: Option<R::Vector>,
}

impl<R: Retrieval> Search<'_, R> {
    fn run(&mut self, filters: &[&str]) -> Result<Vec<Hit>, Denied> {
        let filter = match filters {
            [] => None,
            [one] => Some((*one).to_owned()),
            several => Some(format!("{{\"and\": [{}]}}", several.join(", "))),
        };
        let filter = filter.as_deref();
        match self.way {
            Way::Hybrid => self
                .documents
                .search_hybrid(self.question, self.depth, filter),
            Way::Text => self
                .documents
                .search_text(self.question, self.depth, filter),
            Way::Vector => {
                let vector = match self.vector.take() {
                    Some(vector) => vector,
                    None => self.documents.embed(self.question)?,
                };
                let hits = self.documents.search_vector(&vector, self.depth, filter);
                self.vector = Some(vector);
                hits
            }
        }
    }
}
