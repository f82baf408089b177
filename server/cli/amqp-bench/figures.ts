// What a run has found, as JSON and as text for people.

import type { Report, Sample } from './run.ts';

/** With --json. Latencies are in microseconds; where nothing was timed, they are left out. */
export function reportFields(report: Report): Record<string, unknown> {
  const { confirmLatency, deliveryLatency } = report;
  return {
    broker: report.broker,
    seconds: Math.round(report.seconds * 1_000) / 1_000,
    published: report.published,
    received: report.received,
    confirmed: report.confirmed,
    nacked: report.nacked,
    publishedPerSecond: Math.round(report.publishedPerSecond),
    receivedPerSecond: Math.round(report.receivedPerSecond),
    confirmedPerSecond: Math.round(report.confirmedPerSecond),
    ...(confirmLatency.count === 0 ? {} : { confirmLatencyUs: confirmLatency.figures() }),
    ...(deliveryLatency.count === 0 ? {} : { deliveryLatencyUs: deliveryLatency.figures() }),
    generatorBusy: Math.round(report.generatorBusy * 1_000) / 1_000,
  };
}

export function describeReport(report: Report): string {
  const { confirmLatency, deliveryLatency, confirmed, nacked } = report;
  const lines = [
    `${report.broker === '' ? 'unknown broker' : report.broker}, ${report.seconds.toFixed(1)} s`,
    `published  ${grouped(report.publishedPerSecond)} messages/s  (${grouped(report.published)})`,
  ];
  if (confirmed + nacked > 0) {
    const refused = nacked === 0 ? '' : `, ${grouped(nacked)} refused`;
    lines.push(`confirmed  ${grouped(report.confirmedPerSecond)} messages/s  (${grouped(confirmed)}${refused})`);
    lines.push(`  confirmed after  ${confirmLatency}`);
  }
  lines.push(`received   ${grouped(report.receivedPerSecond)} messages/s  (${grouped(report.received)})`);
  if (deliveryLatency.count > 0) lines.push(`  delivered after  ${deliveryLatency}`);
  lines.push(`this generator used ${Math.round(report.generatorBusy * 100)}% of a core`);
  return lines.join('\n');
}

export function sampleFields(sample: Sample): Record<string, unknown> {
  const perSecond = (count: number): number => Math.round(count / sample.seconds);
  return {
    atSeconds: Math.round(sample.atSeconds * 10) / 10,
    publishedPerSecond: perSecond(sample.published),
    receivedPerSecond: perSecond(sample.received),
    confirmedPerSecond: perSecond(sample.confirmed),
    ...(sample.blockedReason === undefined ? {} : { blocked: sample.blockedReason }),
  };
}

export function describeSample(sample: Sample): string {
  const rate = (count: number): string => grouped(count / sample.seconds);
  const parts = [`${sample.atSeconds.toFixed(0)} s`, `published ${rate(sample.published)}/s`];
  if (sample.confirmed > 0) parts.push(`confirmed ${rate(sample.confirmed)}/s`);
  parts.push(`received ${rate(sample.received)}/s`);
  if (sample.blockedReason !== undefined) parts.push(`held back by the broker: ${sample.blockedReason}`);
  return parts.join('  ');
}

const grouped = (number: number): string => Math.round(number).toLocaleString('en-US');
