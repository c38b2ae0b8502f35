/*
    A headless Chromium, spoken to by the DevTools protocol over a pair of pipes. Every message of the
    page's console, every exception and every request of it is kept.
*/

import {spawn} from "node:child_process";
import {writeFileSync} from "node:fs";

const described = details => details.exception?.description || details.text;

export class Browser {
    constructor(program, profile) {
        this.process = spawn(program, ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
            "--disable-dev-shm-usage", "--no-first-run", "--force-color-profile=srgb",
            "--remote-debugging-pipe", `--user-data-dir=${profile}`],
        {stdio: ["ignore", "ignore", "ignore", "pipe", "pipe"]});
        this.answers = new Map();
        this.complaints = [];
        this.requests = [];
        this.events = new Map(); /* method -> resolve of who waits for it */
        this.last = 0;
        let pending = "";
        this.process.stdio[4].setEncoding("utf8").on("data", text => {
            const messages = (pending + text).split("\0");
            pending = messages.pop();
            messages.forEach(message => this.receive(JSON.parse(message)));
        });
        const giveUp = error => this.answers.forEach(({reject}) => reject(error));
        this.process.on("exit", () => giveUp(new Error("Chromium has ended")));
        this.process.on("error", giveUp);
    }

    receive({id, result, error, method, params}) {
        if (id) {
            const {resolve, reject} = this.answers.get(id);
            this.answers.delete(id);
            error ? reject(new Error(error.message)) : resolve(result);
        } else if (method === "Runtime.exceptionThrown") {
            this.complaints.push(described(params.exceptionDetails));
        } else if (method === "Log.entryAdded" && params.entry.level !== "info") {
            this.complaints.push(params.entry.text);
        } else if (method === "Network.requestWillBeSent") {
            this.requests.push(params.request.url);
        }
        if (this.events.has(method)) {
            this.events.get(method)(params);
            this.events.delete(method);
        }
    }

    send(method, params = {}) {
        return new Promise((resolve, reject) => {
            const id = ++this.last;
            const sessionId = /^(Target|Browser)\./.test(method) ? undefined : this.session;
            this.answers.set(id, {resolve, reject});
            this.process.stdio[3].write(JSON.stringify({id, method, params, sessionId}) + "\0");
        });
    }

    next(method) {
        return new Promise(resolve => this.events.set(method, resolve));
    }

    async open() {
        const {targetId} = await this.send("Target.createTarget", {url: "about:blank"});
        this.session = (await this.send("Target.attachToTarget", {targetId, flatten: true})).sessionId;
        for (const domain of ["Page", "Runtime", "Log", "Network", "DOM"]) {
            await this.send(domain + ".enable");
        }
    }

    async window(width, height, theme = "light") {
        await this.send("Emulation.setDeviceMetricsOverride",
            {width, height, deviceScaleFactor: 1, mobile: false});
        await this.send("Emulation.setEmulatedMedia",
            {features: [{name: "prefers-color-scheme", value: theme}]});
    }

    async load(path) {
        const loaded = this.next("Page.loadEventFired");
        await this.send("Page.navigate", {url: "file://" + path});
        await loaded;
        await this.settle();
    }

    /*  The value of an expression in the page. */
    async get(expression) {
        const {result, exceptionDetails} = await this.send("Runtime.evaluate",
            {expression, awaitPromise: true, returnByValue: true});
        if (exceptionDetails) {
            throw new Error(`${expression}: ${described(exceptionDetails)}`);
        }
        return result.value;
    }

    /*  All that was asked for is drawn: observers run after a frame, and ask for another. */
    settle() {
        return this.get("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() =>" +
            "requestAnimationFrame(() => setTimeout(done, 20)))))");
    }

    /*  Waits until an expression is true in the page. */
    async until(expression) {
        for (let tries = 0; tries < 200; tries++) {
            if (await this.get(`Boolean(${expression})`)) {
                return this.settle();
            }
            await new Promise(resolve => setTimeout(resolve, 50));
        }
        throw new Error(`waited in vain for ${expression}`);
    }

    async choose(...files) {
        const {root} = await this.send("DOM.getDocument");
        const {nodeId} = await this.send("DOM.querySelector", {nodeId: root.nodeId, selector: "#file"});
        await this.send("DOM.setFileInputFiles", {nodeId, files});
    }

    async drop(x, y, ...files) {
        const data = {items: [], files, dragOperationsMask: 1};
        for (const type of ["dragEnter", "dragOver", "drop"]) {
            await this.send("Input.dispatchDragEvent", {type, x, y, data});
        }
    }

    mouse(type, x, y, more = {}) {
        return this.send("Input.dispatchMouseEvent", {type, x, y, ...more});
    }

    async point(x, y) {
        await this.mouse("mouseMoved", x, y);
    }

    async click(x, y) {
        await this.point(x, y);
        await this.mouse("mousePressed", x, y, {button: "left", clickCount: 1});
        await this.mouse("mouseReleased", x, y, {button: "left", clickCount: 1});
        await this.settle();
    }

    /*  A click on the middle of an element, where it can be seen. */
    async clickOn(selector) {
        const [x, y] = await this.get(`(() => {
            const node = document.querySelector(${JSON.stringify(selector)});
            node.scrollIntoView({block: "center"});
            const box = node.getBoundingClientRect();
            return [box.left + box.width / 2, box.top + box.height / 2];
        })()`);
        await this.click(x, y);
    }

    async key(key) {
        const code = {Enter: 13, Escape: 27, ArrowLeft: 37, ArrowRight: 39, Tab: 9, Home: 36}[key];
        const text = key.length === 1 ? key : key === "Enter" ? "\r" : undefined;
        await this.send("Input.dispatchKeyEvent", {type: "keyDown", key, text, windowsVirtualKeyCode: code});
        await this.send("Input.dispatchKeyEvent", {type: "keyUp", key, windowsVirtualKeyCode: code});
        await this.settle();
    }

    async shot(path) {
        const {data} = await this.send("Page.captureScreenshot");
        writeFileSync(path, Buffer.from(data, "base64"));
    }

    async close() {
        const ended = new Promise(resolve => this.process.on("exit", resolve));
        await this.send("Browser.close").catch(() => {});
        await ended;
    }
}
