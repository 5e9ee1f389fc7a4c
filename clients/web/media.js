// Microphone, camera and what their sound goes through; why they cannot be had, in words for people.

export class MediaError extends Error {}

const SOUND = { echoCancellation: true, noiseSuppression: true, autoGainControl: true };

export const microphone = () => ask({ audio: SOUND }, 'microphone');
export const camera = () => ask({ video: { width: 640, height: 480, frameRate: 15 } }, 'camera');

export function stop(stream) {
  for (const track of stream?.getTracks() ?? []) track.stop();
}

async function ask(constraints, what) {
  if (!navigator.mediaDevices) {
    throw new MediaError(`Browsers give the ${what} only to pages from https or from localhost.`);
  }
  try {
    return await navigator.mediaDevices.getUserMedia(constraints);
  } catch (error) {
    throw new MediaError(reason(error, what));
  }
}

// A context for sound at `rate`. Where the browser brings no stream to another rate than the device's
// (Firefox), at the device's.
export function context(rate) {
  const wanted = new AudioContext({ sampleRate: rate });
  const device = new AudioContext();
  try {
    wanted.createMediaStreamSource(device.createMediaStreamDestination().stream);
    device.close();
    return wanted;
  } catch {
    wanted.close();
    return device;
  }
}

// Calls `gone` with words for people when a device is unplugged or taken away.
export function watch(stream, what, gone) {
  for (const track of stream.getTracks()) {
    track.addEventListener('ended', () => gone(`The ${what} is gone. Plug it in or allow it again, then start anew.`));
  }
}

function reason(error, what) {
  const meanwhile = what === 'microphone' ? ' You can type meanwhile.' : '';
  switch (error.name) {
    case 'NotAllowedError':
      return `The ${what} is blocked. Allow it for this page in the address bar, then try again.${meanwhile}`;
    case 'NotFoundError':
      return `No ${what} was found. Plug one in and try again.${meanwhile}`;
    case 'NotReadableError':
      return `The ${what} is in use by another program. Close that and try again.${meanwhile}`;
    default:
      return `The ${what} cannot be used (${error.name}).${meanwhile}`;
  }
}
