// A conversation on a phone: talk, interrupt, lose the network and come back.

import { useEffect, useRef, useState } from 'react';
import { Button, SafeAreaView, ScrollView, StyleSheet, Text, TextInput, View, useColorScheme } from 'react-native';
import { RealtimeClient, type State } from 'omnilive-mobile';
import { Loudspeaker, Microphone } from './sound';

interface Caption {
  id: string;
  who: 'You' | 'Reply';
  text: string;
}

const WORDS: Record<State, string> = {
  idle: 'Not connected',
  connecting: 'Connecting …',
  open: 'Connected',
  waiting: 'The network dropped; trying to come back …',
  closed: 'The conversation has ended',
};

export default function App() {
  const [url, setUrl] = useState('ws://192.168.0.10:8000/v1/realtime');
  const [secret, setSecret] = useState('');
  const [state, setState] = useState<State>('idle');
  const [note, setNote] = useState('');
  const [captions, setCaptions] = useState<Caption[]>([]);
  const end = useRef<(() => void) | null>(null);
  const ink = { color: useColorScheme() === 'dark' ? '#e9ebf0' : '#1b1d22' };

  useEffect(() => () => end.current?.(), []);

  function say(id: string, who: Caption['who'], more: string) {
    setCaptions((all) =>
      all.some((one) => one.id === id)
        ? all.map((one) => (one.id === id ? { ...one, text: one.text + more } : one))
        : [...all, { id, who, text: more }],
    );
  }

  async function start() {
    const client = new RealtimeClient({
      url,
      ...(secret ? { apiKey: secret } : {}),
      session: { audio: { input: { transcription: {}, turn_detection: { type: 'server_vad' } } } },
    });
    const microphone = new Microphone();
    const loudspeaker = new Loudspeaker();
    const stop = () => {
      end.current = null;
      client.close();
      microphone.stop().catch(() => {});
      loudspeaker.close().catch(() => {});
    };
    // Says why it ended, unless somebody has stopped it: who did knows.
    const fail = (reason: string) => {
      if (end.current !== stop) return;
      stop();
      setNote(reason);
    };
    end.current = stop;
    setNote('');
    setCaptions([]);
    client.on('state', ({ state, reason }) => {
      setState(state);
      if (state === 'closed') fail(reason);
    });
    client.on('audio', ({ item_id, samples }) => loudspeaker.play(item_id, samples));
    client.on('input_audio_buffer.speech_started', () => {
      // The server breaks the reply off by itself; what was heard of it only the phone knows.
      const cut = loudspeaker.stop();
      if (cut) {
        client.send({ type: 'conversation.item.truncate', item_id: cut.itemId, content_index: 0, audio_end_ms: Math.floor(cut.playedMs) });
      }
    });
    client.on('response.output_audio_transcript.delta', ({ item_id, delta }) => say(item_id, 'Reply', delta));
    client.on('conversation.item.input_audio_transcription.delta', ({ item_id, delta }) => say(item_id, 'You', delta));
    client.on('dropped', ({ audioMs, reason }) => {
      // Where the conversation is gone, `x_resync` has just said so, and that is what people need to know.
      if (reason === 'queue_full') setNote(`${Math.round(audioMs)} ms of sound were lost (the network is too slow)`);
    });
    client.on('x_resync', ({ message }) => setNote(message));
    client.on('error', ({ error }) => setNote(error.message));
    try {
      await client.connect();
      await microphone.start((samples) => client.state === 'closed' || client.appendAudio(samples));
    } catch (error) {
      fail(error instanceof Error ? error.message : String(error));
    }
  }

  const live = state === 'connecting' || state === 'open' || state === 'waiting';
  return (
    <SafeAreaView style={styles.page}>
      <Text style={[styles.state, ink]} accessibilityLiveRegion="polite">{WORDS[state]}</Text>
      {note ? <Text style={styles.note} accessibilityRole="alert">{note}</Text> : null}
      {live ? null : (
        <View>
          <TextInput style={[styles.field, ink]} value={url} onChangeText={setUrl} autoCapitalize="none" accessibilityLabel="Server address" />
          <TextInput style={[styles.field, ink]} value={secret} onChangeText={setSecret} autoCapitalize="none" secureTextEntry placeholder="Client secret, if the server asks for one" accessibilityLabel="Client secret" />
        </View>
      )}
      <Button title={live ? 'Stop' : 'Start talking'} onPress={() => (live ? end.current?.() : void start())} />
      <ScrollView style={styles.captions}>
        {captions.map(({ id, who, text }) => (
          <Text key={id} style={[styles.caption, ink]}>{`${who}: ${text}`}</Text>
        ))}
      </ScrollView>
    </SafeAreaView>
  );
}

const styles = StyleSheet.create({
  page: { flex: 1, margin: 16, gap: 12 },
  state: { fontSize: 18, fontWeight: '600' },
  note: { color: '#c0392b' },
  field: { borderWidth: 1, borderColor: '#8a8f99', borderRadius: 8, padding: 12, marginBottom: 8 },
  captions: { flex: 1 },
  caption: { fontSize: 16, marginBottom: 8 },
});
