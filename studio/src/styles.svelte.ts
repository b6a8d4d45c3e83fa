/** The styles that the page knows, and which of them the engine has. */

import { api, type StyleInfo } from "./api";
import { forgetStyle, keepStyle, keptStyles, type Adapted, type Kept } from "./kept";
import { saveBlob } from "./lib/pictures";
import { hexadecimal } from "./lib/refining";
import type { Weighted } from "./lib/styles";
import type { Studio } from "./studio.svelte";
import { text } from "./text";

export class Styles {
  /** In the order in which they are shown. */
  all = $state.raw<StyleInfo[]>([]);
  /** Styles that the engine has, or that are on their way to it. */
  private readonly inEngine = new Map<string, Promise<void>>();
  /** Own styles, where there is no server. */
  private readonly kept = new Map<string, Kept>();
  /** What own styles were made of, where there is no server. */
  private readonly paintings = new Map<string, Adapted>();

  constructor(private readonly studio: Studio) {}

  /** Ask the server, or whatever serves the page, for the list. */
  async fetch(): Promise<void> {
    const listed = await api.styles(this.studio.server);
    if (!this.studio.server)
      try {
        for (const kept of await keptStyles()) {
          this.kept.set(kept.info.id, kept);
          if (kept.adapted) this.paintings.set(kept.info.id, kept.adapted);
        }
      } catch {
        this.studio.tell(text.errors.notKept);
      }
    this.all = [...[...this.kept.values()].map(({ info }) => info), ...listed];
  }

  find(id: string | undefined): StyleInfo | undefined {
    return this.all.find((style) => style.id === id);
  }

  nameOf(id: string): string {
    return this.find(id)?.name ?? this.studio.adaptation.name ?? id;
  }

  newId(): string {
    return `own-${hexadecimal(crypto.getRandomValues(new Uint8Array(8)))}`;
  }

  /** The engine has this new style. */
  add(info: StyleInfo): void {
    this.loaded(info.id);
    this.all = [info, ...this.all];
  }

  /** Have an own style's file, or its new name, outlast the page: it is shown only when it does. */
  async keep(info: StyleInfo, file: ArrayBuffer | Blob): Promise<void> {
    const created = this.kept.get(info.id)?.created ?? Date.now();
    const adapted = this.paintings.get(info.id);
    const kept: Kept = { info, file: new Blob([file]), created, ...(adapted ? { adapted } : {}) };
    this.kept.set(info.id, kept);
    await keepStyle(kept).catch(() => this.studio.tell(text.errors.notKept));
  }

  /** What is known of the painting that an own style was made of. */
  adapted(id: string): Adapted | undefined {
    return this.find(id) && this.paintings.get(id);
  }

  adaptedTo(id: string, adapted: Adapted): void {
    this.paintings.set(id, adapted);
    this.all = [...this.all];
  }

  /** Whether there is a file of the style to be downloaded. */
  hasFile(style: StyleInfo): boolean {
    return this.studio.server || style.origin === "builtin" || this.kept.has(style.id);
  }

  async download(style: StyleInfo): Promise<void> {
    try {
      saveBlob(new Blob([await this.file(style.id)]), `${style.name}.safetensors`);
    } catch (error) {
      this.studio.tell(error);
    }
  }

  private async file(id: string): Promise<ArrayBuffer> {
    const kept = this.kept.get(id);
    return kept ? kept.file.arrayBuffer() : api.styleFile(id, this.studio.server);
  }

  /** The engine has got the style's parameters. */
  loaded(id: string): void {
    this.inEngine.set(id, Promise.resolve());
  }

  /** The engine's parameters of the style are not the last ones: the file is fetched when it is needed. */
  outdated(id: string): void {
    this.inEngine.delete(id);
  }

  /** Have the engine know all styles of a mixture. */
  async need(mix: Weighted[]): Promise<void> {
    await Promise.all([
      this.studio.engine.ready,
      ...mix.map(({ style }) => {
        let loading = this.inEngine.get(style);
        if (!loading) {
          loading = this.file(style)
            .then((file) => this.studio.engine.addStyle(style, file))
            .then(() => undefined);
          loading.catch(() => this.inEngine.delete(style));
          this.inEngine.set(style, loading);
        }
        return loading;
      }),
    ]);
  }

  async importFile(file: File): Promise<void> {
    const { server, engine } = this.studio;
    try {
      const name = file.name.replace(/\.safetensors$/, "");
      let info: StyleInfo;
      if (server) {
        info = await api.importStyle(file, file.name);
        this.all = [info, ...this.all];
      } else {
        const id = this.newId();
        const grain = await engine.addStyle(id, await file.arrayBuffer());
        info = { id, name, origin: "imported", grain, note: "", painting: null };
        await this.keep(info, file);
        this.add(info);
      }
      this.studio.useStyle(info.id);
    } catch (error) {
      this.studio.tell(error);
    }
  }

  async remove(id: string): Promise<void> {
    const { studio } = this;
    try {
      if (studio.server) await api.removeStyle(id);
      this.all = this.all.filter((style) => style.id !== id);
      this.inEngine.delete(id);
      if (this.kept.delete(id)) await forgetStyle(id);
      studio.regions.forgetStyle(id);
      await studio.engine.forget(id);
      if (studio.mix.some((one) => one.style === id) && this.all[0])
        studio.useStyle(this.all.at(-1)!.id);
    } catch (error) {
      studio.tell(error);
    }
  }

  async rename(id: string, name: string): Promise<void> {
    try {
      const info = this.studio.server ? await api.rename(id, name) : { ...this.find(id)!, name };
      const kept = this.kept.get(id);
      if (kept) await this.keep(info, kept.file);
      this.all = this.all.map((style) => (style.id === id ? info : style));
    } catch (error) {
      this.studio.tell(error);
    }
  }

  /** Keep a mixture as a style of its own. */
  async keepMixture(mix: Weighted[], name: string): Promise<void> {
    try {
      const used = mix.filter((one) => one.weight > 0).map((one) => ({ ...one }));
      if (this.studio.server) {
        this.all = [await api.keepMixture(used, name), ...this.all];
        return;
      }
      await this.need(used);
      const id = this.newId();
      const { file, recipe, grain } = await this.studio.engine.blend(id, used);
      const info: StyleInfo = { id, name, origin: "mixture", grain, note: recipe, painting: null };
      await this.keep(info, file);
      this.add(info);
    } catch (error) {
      this.studio.tell(error);
    }
  }
}
