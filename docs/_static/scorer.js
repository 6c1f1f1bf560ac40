// Sphinx's own scores of search results, but that pages of what was done, and why, come after those that tell how.
const ASIDE = /^(generated\/(benchmarks|changelog|contributing|results|security|soak)|contributing\/|explanation\/decisions)/;
const FIRST = /^(start|howto\/|tutorials\/)/;
var Scorer = {
  score: ([page, title, anchor, description, score]) => score - 12 * ASIDE.test(page) + 3 * FIRST.test(page),
  objNameMatch: 11,
  objPartialMatch: 6,
  objPrio: { 0: 15, 1: 5, 2: -5 },
  objPrioDefault: 0,
  title: 15,
  partialTitle: 7,
  term: 5,
  partialTerm: 2,
};
