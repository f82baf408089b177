// Every route of the management API. Always: OpenAPI and the test of who may do what are made of this list. Refuses: to do anything.

import type { Route } from '../route.ts';
import { messageRoutes } from './messages.ts';
import { operationRoutes } from './operations.ts';
import { topologyRoutes } from './topology.ts';
import { userRoutes } from './users.ts';
import { vhostRoutes } from './vhosts.ts';

export const routes: readonly Route[] = [...operationRoutes, ...vhostRoutes, ...userRoutes, ...topologyRoutes, ...messageRoutes];
