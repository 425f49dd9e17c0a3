// Runs before `npm start` and `npm test`, on whatever Node the system has (18 or newer): plain JavaScript, no dependency.
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');

/** What is installed is what the lock file names: version and integrity of every package, but those for other platforms. */
function isInstalled() {
  const wanted = packages('package-lock.json');
  const present = packages(join('node_modules', '.package-lock.json'));
  if (wanted === null || present === null) return false;
  return Object.entries(wanted).every(([path, entry]) => {
    if (path === '' || (entry.optional === true && present[path] === undefined)) return true;
    return present[path]?.version === entry.version && present[path]?.integrity === entry.integrity;
  });
}

function packages(file) {
  try {
    return JSON.parse(readFileSync(join(root, file), 'utf8')).packages;
  } catch {
    return null;
  }
}

if (!isInstalled()) {
  process.stderr.write('keyforge: installing what package-lock.json names (npm ci)\n');
  const npm = process.env.npm_execpath;
  const [command, args] = npm === undefined ? ['npm', []] : [process.execPath, [npm]];
  const done = spawnSync(command, [...args, 'ci', '--no-audit', '--no-fund', '--loglevel=error'], {
    cwd: root,
    stdio: ['ignore', 2, 2],
    shell: command === 'npm' && process.platform === 'win32',
  });
  if (done.status !== 0) {
    process.stderr.write(
      'keyforge: npm ci failed (see above).\n' +
        '  No network, or a registry behind a proxy? Set it with `npm config set registry URL`, then run `npm ci` by hand.\n' +
        '  package.json and package-lock.json differ? `npm install` writes the lock anew.\n' +
        '  A broken folder? `rm -rf node_modules && npm ci`.\n',
    );
    process.exit(1);
  }
}
