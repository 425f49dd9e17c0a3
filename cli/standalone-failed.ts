/** Why operator and proxy could not start: one problem a line, for people. */
export class StandaloneFailed extends Error {
  override readonly name = 'StandaloneFailed';
}
