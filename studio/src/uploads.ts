/** Pictures that the server has, each sent once. */

import { api, type PictureInfo } from "./api";
import { decode, type Picture } from "./lib/pictures";

export class Uploads {
  private readonly ids = new WeakMap<Blob, Promise<string>>();

  /** The server has this file under that id. */
  known(file: Blob, id: string): void {
    this.ids.set(file, Promise.resolve(id));
  }

  /** A picture that the server has kept, as it shows it, under its own name unless told. */
  async kept(id: string, name?: string): Promise<Picture> {
    const [file, info] = await Promise.all([api.preview(id), api.picture(id)]);
    this.known(file, id);
    const { width, height } = info;
    return { ...(await decode(file, name ?? info.name)), width, height, id };
  }

  /** Send a file; its id is kept. */
  async send(file: Blob, name: string): Promise<PictureInfo> {
    const info = await api.upload(file, name);
    this.known(file, info.id);
    return info;
  }

  /** The id of a picture, which is sent if the server does not have it. */
  idOf(picture: Picture): Promise<string> {
    let id = this.ids.get(picture.file);
    if (!id) {
      id = api.upload(picture.file, `${picture.name}.picture`).then((info) => info.id);
      id.catch(() => this.ids.delete(picture.file));
      this.ids.set(picture.file, id);
    }
    return id;
  }
}
