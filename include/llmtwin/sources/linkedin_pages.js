// One look at a profile's activity page. Runs inside the page; is given the selectors of linkedin_pages.py.
// Unfolds folded posts, asks for more where there is a button for it, and returns what is there now:
// {items: [{urn, actor, words, folded}], atEnd, loading, broken, empty}; `actor` is null for a post not drawn yet.
(selectors) => {
  const isVisible = (element) => element.getClientRects().length > 0;
  const anyVisible = (selector) => [...document.querySelectorAll(selector)].some(isVisible);

  // What belongs to the post itself, and neither to a post it shares nor to a comment below it.
  const own = (item, selector) =>
    [...item.querySelectorAll(selector)].filter((element) => !element.closest(`${selectors.quoted}, ${selectors.comment}`));

  const unfold = (item) => {
    const folded = own(item, selectors.more).filter(isVisible);
    for (const button of folded.filter((button) => !button.dataset.unfolded)) {
      button.dataset.unfolded = 'asked';
      button.click();
    }
    return folded.length > 0;
  };

  // LinkedIn sends readers who leave through a page of its own.
  const target = (link) => {
    const url = new URL(link.href, document.baseURI);
    return (/^\/(redir\/redirect|safety\/go)\b/.test(url.pathname) && url.searchParams.get('url')) || url.href;
  };

  // A hashtag, a mention and a link that is its own text are plain words, as in LinkedIn's own export.
  const isPlain = (link) => {
    const text = link.textContent.trim();
    return !text || /^(hashtag)?\s*#/.test(text) || /\/(in|company|school|feed\/hashtag)\//.test(link.href)
      || /^https?:\/\//.test(text) || target(link).replace(/^https?:\/\/(www\.)?/, '').startsWith(text);
  };

  // The words as the page lays them out, with every line break; links as Markdown.
  const words = (element) => {
    const added = [...element.querySelectorAll('a[href]')].filter((link) => !isPlain(link)).flatMap((link) => {
      const before = document.createTextNode('[');
      const after = document.createTextNode(`](${target(link)})`);
      link.prepend(before);
      link.append(after);
      return [before, after];
    });
    const hidden = [...element.querySelectorAll(`button, ${selectors.hidden}`)].map((part) => [part, part.style.display]);
    hidden.forEach(([part]) => part.style.setProperty('display', 'none', 'important'));
    const text = element.innerText;
    hidden.forEach(([part, display]) => { part.style.display = display; });
    added.forEach((node) => node.remove());
    return text.trim();
  };

  const items = [...document.querySelectorAll(selectors.item)].filter((item) => !item.parentElement.closest(selectors.item));
  const more = [...document.querySelectorAll(selectors.load)].find((button) => isVisible(button) && !button.disabled);
  more?.click();
  const last = items.at(-1);
  return {
    items: items.map((item) => {
      const actor = own(item, selectors.actor)[0];
      const commentary = own(item, selectors.commentary)[0];
      return {
        urn: item.dataset.urn ?? item.dataset.id ?? item.dataset.activityUrn,
        actor: actor ? new URL(actor.href, document.baseURI).pathname : null,
        words: commentary ? words(commentary) : null,
        folded: unfold(item),
      };
    }),
    atEnd: !last || last.getBoundingClientRect().bottom <= window.innerHeight,
    loading: Boolean(more) || anyVisible(selectors.loading),
    broken: anyVisible(selectors.broken),
    empty: anyVisible(selectors.empty),
  };
}
