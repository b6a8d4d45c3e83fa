/** The styles that the page knows, and which of them the engine has. */

import { api, type StyleInfo } from "./api";
import type { Weighted } from "./lib/styles";
import type { Studio } from "./studio.svelte";

export class Styles {
  /** In the order in which they are shown. */
  all = $state.raw<StyleInfo[]>([]);
  /** Styles that the engine has, or that are on their way to it. */
  private readonly inEngine = new Map<string, Promise<void>>();
  private count = 0;

  constructor(private readonly studio: Studio) {}

  /** Ask the server, or whatever serves the page, for the list. */
  async fetch(): Promise<void> {
    this.all = await api.styles(this.studio.server);
  }

  find(id: string | undefined): StyleInfo | undefined {
    return this.all.find((style) => style.id === id);
  }

  nameOf(id: string): string {
    return this.find(id)?.name ?? this.studio.adaptation.name ?? id;
  }

  newId(): string {
    return `own-${++this.count}`;
  }

  /** The engine has this new style. */
  add(info: StyleInfo): void {
    this.loaded(info.id);
    this.all = [info, ...this.all];
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
          loading = api
            .styleFile(style, this.studio.server)
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
      this.all = this.all.map((style) => (style.id === id ? info : style));
    } catch (error) {
      this.studio.tell(error);
    }
  }

  /** Keep a mixture as a style of its own. */
  async keepMixture(mix: Weighted[], name: string): Promise<void> {
    try {
      const info = await api.keepMixture(
        mix.filter((one) => one.weight > 0),
        name,
      );
      this.all = [info, ...this.all];
    } catch (error) {
      this.studio.tell(error);
    }
  }
}
