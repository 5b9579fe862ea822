import type { Action } from './action.ts';
import { deleteAlert, listAlerts, setAlert } from './alerts.ts';
import { decideApproval, getApproval, listApprovals } from './approvals.ts';
import { searchAudit, verifyAudit } from './audit.ts';
import { getCapability, listCapabilities } from './capabilities.ts';
import { compareVariants } from './compare-variants.ts';
import { exportConfigurationAction, importConfiguration, planConfigurationAction } from './configuration.ts';
import { createConsumer, listConsumers, updateConsumer } from './consumers.ts';
import { setContentPolicy } from './content-policy.ts';
import { getDocumentation } from './documentation.ts';
import { explainCall } from './explain-call.ts';
import { getFailoverEvents } from './failover-events.ts';
import { getHealth } from './get-health.ts';
import { createKey, disableKey, listKeys, revokeKey, rotateKey } from './keys.ts';
import { createMember, listMembers, updateMember } from './members.ts';
import { listModelPrices, setModelPrice } from './model-prices.ts';
import { setModelRouting } from './model-routing.ts';
import { getModelUsage } from './model-usage.ts';
import { getModel, listModels } from './models.ts';
import { createNamespace, deleteNamespace, listNamespaces, updateNamespace } from './namespaces.ts';
import { listNotifications } from './notifications.ts';
import { getPolicy, setPolicy } from './policies.ts';
import { registerModel, retireModel, updateModel } from './register-model.ts';
import { requestKey } from './request-key.ts';
import { getReviewRules, setReviewRules } from './review-rules.ts';
import { reviewSubmission } from './review-submission.ts';
import { listSecrets, setSecret } from './secrets.ts';
import { endSignIn, listSignIns } from './sign-ins.ts';
import { getSubmission, listSubmissions, submitCapability } from './submissions.ts';
import { createToolbox, deleteToolbox, listToolboxes, publishToolbox, rollbackToolbox, updateToolbox } from './toolboxes.ts';
import { deregisterUpstream, listUpstreams, registerUpstream, testUpstream, updateUpstream } from './upstreams.ts';
import { getUsage } from './usage.ts';

/** Everything that an operator can do, in the order in which lists show it. */
export const actions: readonly Action[] = [
  createNamespace,
  updateNamespace,
  deleteNamespace,
  listNamespaces,
  registerUpstream,
  updateUpstream,
  deregisterUpstream,
  listUpstreams,
  testUpstream,
  registerModel,
  updateModel,
  retireModel,
  listModels,
  getModel,
  setModelRouting,
  getFailoverEvents,
  getModelUsage,
  createToolbox,
  updateToolbox,
  publishToolbox,
  rollbackToolbox,
  deleteToolbox,
  listToolboxes,
  submitCapability,
  listSubmissions,
  getSubmission,
  reviewSubmission,
  setReviewRules,
  getReviewRules,
  listNotifications,
  listSignIns,
  endSignIn,
  listCapabilities,
  getCapability,
  getDocumentation,
  planConfigurationAction,
  importConfiguration,
  exportConfigurationAction,
  createConsumer,
  updateConsumer,
  listConsumers,
  createMember,
  updateMember,
  listMembers,
  setAlert,
  deleteAlert,
  listAlerts,
  compareVariants,
  createKey,
  requestKey,
  listKeys,
  rotateKey,
  disableKey,
  revokeKey,
  setPolicy,
  getPolicy,
  setContentPolicy,
  setSecret,
  listSecrets,
  setModelPrice,
  listModelPrices,
  listApprovals,
  getApproval,
  decideApproval,
  explainCall,
  getUsage,
  searchAudit,
  verifyAudit,
  getHealth,
];
